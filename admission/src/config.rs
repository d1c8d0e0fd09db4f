//! What the webhook is told by its user, and what it makes of it.
//!
//! [`AdmissionConfig`] is the configuration file's section as it is written: every key has a
//! default, an unknown key is refused, and the reader that has the file's text adds the line.
//! [`AdmissionConfig::validate`] turns it into a [`Config`], once, at start; nothing below
//! knows the raw one.
//!
//! With nothing written, every pod in every namespace but kube-system is held to the latest
//! baseline, the latest restricted level goes into the audit log, and the makers of pods that
//! would be refused are warned about.

mod data;
mod decisions;
mod network_policy;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use data::DataConfig;
pub use decisions::{DecisionsConfig, Recording, RedactConfig};
pub use network_policy::{DeniedDirection, NetworkPolicyConfig, NeverOpen, Refused};

pub use crate::audit::AuditConfig;
use crate::bundle::{LoadError, Sources};
pub use crate::cluster::connect::KubernetesConfig;
use crate::network_policy::Malformed;
use crate::pod_security::{Level, LevelVersion, Policy, Version};

/// The admission section of the configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdmissionConfig {
    /// Where the webhook listens.
    pub listen: SocketAddr,
    /// A folder of Rego to use in place of the embedded policies.
    pub policies: Option<PathBuf>,
    /// The cluster that is watched.
    pub kubernetes: KubernetesConfig,
    /// The audit of what already runs, where a cluster is watched.
    pub audit: AuditConfig,
    /// Pod Security: defaults and exemptions.
    pub pod_security: PodSecurityConfig,
    /// Rules about who may reach whom; none unless chosen.
    pub network_policy: NetworkPolicyConfig,
    /// Gatekeeper's policies; none unless there is a folder of them.
    pub gatekeeper: GatekeeperConfig,
    /// What happens to a request nobody could judge.
    pub fail_mode: FailMode,
    /// The serving certificate.
    pub certificate: CertificateConfig,
    /// What a client may ask of us.
    pub limits: LimitsConfig,
    /// How long a webhook that was told to stop goes on answering new connections while it says that it is not
    /// ready. Behind a Service: longer than it takes until the last node knows.
    pub drain_seconds: u64,
    /// What of a decision is kept.
    pub decisions: DecisionsConfig,
    /// What rules may ask beside the object; nothing unless allowed.
    pub data: DataConfig,
}

impl Default for AdmissionConfig {
    fn default() -> Self {
        AdmissionConfig {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9443),
            policies: None,
            kubernetes: KubernetesConfig::default(),
            audit: AuditConfig::default(),
            pod_security: PodSecurityConfig::default(),
            network_policy: NetworkPolicyConfig::default(),
            gatekeeper: GatekeeperConfig::default(),
            fail_mode: FailMode::default(),
            certificate: CertificateConfig::default(),
            limits: LimitsConfig::default(),
            drain_seconds: 0,
            decisions: DecisionsConfig::default(),
            data: DataConfig::default(),
        }
    }
}

/// Gatekeeper's policies.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatekeeperConfig {
    /// A folder of ConstraintTemplates, Constraints and ExpansionTemplates.
    pub directory: Option<PathBuf>,
    /// Whether the kinds of constraints are made, one for each ConstraintTemplate of the cluster. Gatekeeper does
    /// so itself where it runs.
    pub definitions: bool,
}

/// The Pod Security admission controller's own settings, in its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PodSecurityConfig {
    /// The level enforced in a namespace whose labels choose none.
    pub enforce: Level,
    /// Its version.
    pub enforce_version: Version,
    /// The level audited in a namespace whose labels choose none.
    pub audit: Level,
    /// Its version.
    pub audit_version: Version,
    /// The level warned about in a namespace whose labels choose none.
    pub warn: Level,
    /// Its version.
    pub warn_version: Version,
    /// Who is not held to it.
    pub exemptions: Exemptions,
}

impl Default for PodSecurityConfig {
    fn default() -> Self {
        PodSecurityConfig {
            enforce: Level::Baseline,
            enforce_version: Version::Latest,
            audit: Level::Restricted,
            audit_version: Version::Latest,
            warn: Level::Baseline,
            warn_version: Version::Latest,
            exemptions: Exemptions::default(),
        }
    }
}

/// Who is not held to Pod Security.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exemptions {
    /// Namespaces, by name. The default is kube-system, whose pods are the node's own and need
    /// what the baseline forbids; add the namespace this program runs in where its agent does.
    pub namespaces: BTreeSet<String>,
    /// Users, by name. Exempting a controller's service account exempts all that users make
    /// through it.
    pub usernames: BTreeSet<String>,
    /// Runtime classes, by name.
    pub runtime_classes: BTreeSet<String>,
}

impl Default for Exemptions {
    fn default() -> Self {
        Exemptions {
            namespaces: BTreeSet::from(["kube-system".to_string()]),
            usernames: BTreeSet::new(),
            runtime_classes: BTreeSet::new(),
        }
    }
}

/// What happens to a request nobody could judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailMode {
    /// It is refused, and the answer says so.
    #[default]
    Closed,
    /// It passes, and the answer says so.
    Open,
}

/// Where the serving certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CertificateConfig {
    /// The folder an own CA and certificate are made in and kept. Whoever knows the data folder
    /// fills in a place below it.
    pub directory: Option<PathBuf>,
    /// What the webhook is called beside localhost and 127.0.0.1: a Service's
    /// `NAME.NAMESPACE.svc`, or an address.
    pub names: BTreeSet<String>,
    /// A certificate chain somebody else renews, as cert-manager does; with `key_file`.
    pub cert_file: Option<PathBuf>,
    /// The key to `cert_file`.
    pub key_file: Option<PathBuf>,
    /// Authorities of clients: with it, nobody has a review judged without a certificate of one of them.
    pub client_ca_file: Option<PathBuf>,
    /// The ValidatingWebhookConfiguration whose caBundle is to hold our CA; in a cluster, or with a
    /// kubeconfig.
    pub webhook_configuration: Option<String>,
    /// How often files are looked at for changes: the certificate's, and the policies'.
    pub reload_seconds: u64,
}

/// Where certificates are kept if nobody says: below the default data folder.
const CERTIFICATE_DIRECTORY: &str = "taffrail-data/admission";

impl CertificateConfig {
    pub(crate) fn directory(&self) -> &Path {
        self.directory
            .as_deref()
            .unwrap_or(Path::new(CERTIFICATE_DIRECTORY))
    }
}

impl Default for CertificateConfig {
    fn default() -> Self {
        CertificateConfig {
            directory: None,
            names: BTreeSet::new(),
            cert_file: None,
            key_file: None,
            client_ca_file: None,
            webhook_configuration: None,
            reload_seconds: 10,
        }
    }
}

/// What a client may ask of us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// The largest body; an update carries two objects of at most 3 MiB.
    pub body_bytes_max: usize,
    /// How many values (members and items, at all depths) a body may hold; what holds more is not judged, which the fail
    /// mode decides about.
    pub values_max: usize,
    /// How many connections are open at once; further ones wait to be accepted. One address has half of them.
    pub connections_max: usize,
    /// How many reviews are under way at once; further ones are told to try again.
    pub reviews_max: usize,
    /// How many reviews are evaluated at once; 0 is one for each processor.
    pub evaluations_max: usize,
    /// How long a review may take where the API server names no timeout.
    pub timeout_default_milliseconds: u64,
    /// How long a review may take, whatever the API server says.
    pub timeout_max_milliseconds: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        LimitsConfig {
            body_bytes_max: 8 << 20,
            values_max: 256_000,
            connections_max: 1024,
            reviews_max: 256,
            evaluations_max: 0,
            timeout_default_milliseconds: 10_000,
            timeout_max_milliseconds: 30_000,
        }
    }
}

/// What cannot hold at the same time, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A limit of nothing refuses everything.
    #[error("admission.{0} must not be 0: leave it out for the default")]
    Zero(&'static str),
    /// Half a certificate.
    #[error("admission.certificate: cert_file and key_file belong together: give both or none")]
    HalfCertificate,
    /// The default timeout is longer than the longest.
    #[error(
        "admission.limits.timeout_default_milliseconds is more than timeout_max_milliseconds: \
         lower the one or raise the other"
    )]
    Timeouts,
    /// A pair of namespaces that is none.
    #[error(
        "admission.network_policy.separate: [{0:?}, {1:?}] must be the names of two namespaces"
    )]
    Separate(String, String),
    /// A rule about the whole cluster, and no cluster.
    #[error(
        "admission.network_policy.{0} needs the state of the cluster: run in a pod, name a kubeconfig in \
         admission.kubernetes.kubeconfig, or leave it out"
    )]
    NeedsState(&'static str),
    /// Ends that cannot be meant.
    #[error("admission.network_policy.never_open {name:?}: {end}: {problem}")]
    NeverOpen {
        /// What the way is called.
        name: String,
        /// Which end.
        end: &'static str,
        /// What is wrong with it.
        problem: Malformed,
    },
    /// A line in which a verdict has no room, or that no store takes.
    #[error("admission.decisions.line_bytes_max is {0}: it must be from {1} to {2}")]
    LineBytes(usize, usize, usize),
    /// No regular expression.
    #[error("admission.decisions.redact.names is no regular expression: {0}")]
    RedactNames(String),
    /// A name no certificate can hold.
    #[error("admission.certificate.names: {0:?} is neither a DNS name nor an address")]
    Name(String),
}

/// The settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) policies: Option<PathBuf>,
    pub(crate) kubernetes: KubernetesConfig,
    pub(crate) audit: AuditConfig,
    pub(crate) gatekeeper: GatekeeperConfig,
    pub(crate) defaults: Policy,
    pub(crate) exemptions: Exemptions,
    pub(crate) network_policy: NetworkPolicyConfig,
    pub(crate) fail_mode: FailMode,
    pub(crate) certificate: CertificateConfig,
    pub(crate) reload_interval: Duration,
    pub(crate) limits: Limits,
    pub(crate) drain_delay: Duration,
    pub(crate) recording: Recording,
    pub(crate) data: DataConfig,
}

impl Config {
    /// What the bundle is made from, read now.
    pub(crate) fn sources(&self) -> Result<Sources, LoadError> {
        let sources = Sources::read(
            self.policies.as_deref(),
            self.gatekeeper.directory.as_deref(),
        )?;
        Ok(sources.allowing(self.data.allowed()))
    }
}

/// The limits, checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) body_bytes_max: usize,
    pub(crate) values_max: usize,
    pub(crate) connections_max: usize,
    pub(crate) reviews_max: usize,
    pub(crate) evaluations_max: usize,
    pub(crate) timeout_default: Duration,
    pub(crate) timeout_max: Duration,
}

impl AdmissionConfig {
    /// Checks what one key alone cannot tell.
    pub fn validate(self) -> Result<Config, ConfigError> {
        let limits = &self.limits;
        for (name, value) in [
            ("limits.body_bytes_max", limits.body_bytes_max as u64),
            ("limits.values_max", limits.values_max as u64),
            ("limits.connections_max", limits.connections_max as u64),
            ("limits.reviews_max", limits.reviews_max as u64),
            (
                "limits.timeout_default_milliseconds",
                limits.timeout_default_milliseconds,
            ),
            (
                "limits.timeout_max_milliseconds",
                limits.timeout_max_milliseconds,
            ),
            ("data.series_max", self.data.series_max as u64),
            ("data.bytes_max", self.data.bytes_max as u64),
            ("data.questions_max", self.data.questions_max as u64),
            (
                "certificate.reload_seconds",
                self.certificate.reload_seconds,
            ),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero(name));
            }
        }
        if limits.timeout_default_milliseconds > limits.timeout_max_milliseconds {
            return Err(ConfigError::Timeouts);
        }
        if self.certificate.cert_file.is_some() != self.certificate.key_file.is_some() {
            return Err(ConfigError::HalfCertificate);
        }
        if let Some(name) = self.certificate.names.iter().find(|name| !is_name(name)) {
            return Err(ConfigError::Name(name.clone()));
        }
        self.network_policy.check()?;
        let pod_security = &self.pod_security;
        let at = |level, version| LevelVersion { level, version };
        Ok(Config {
            defaults: Policy {
                enforce: at(pod_security.enforce, pod_security.enforce_version),
                audit: at(pod_security.audit, pod_security.audit_version),
                warn: at(pod_security.warn, pod_security.warn_version),
            },
            limits: Limits {
                body_bytes_max: limits.body_bytes_max,
                values_max: limits.values_max,
                connections_max: limits.connections_max,
                reviews_max: limits.reviews_max,
                evaluations_max: match limits.evaluations_max {
                    0 => std::thread::available_parallelism().map_or(1, usize::from),
                    some => some,
                },
                timeout_default: Duration::from_millis(limits.timeout_default_milliseconds),
                timeout_max: Duration::from_millis(limits.timeout_max_milliseconds),
            },
            drain_delay: Duration::from_secs(self.drain_seconds),
            listen: self.listen,
            policies: self.policies,
            kubernetes: self.kubernetes,
            audit: self.audit,
            gatekeeper: self.gatekeeper,
            exemptions: self.pod_security.exemptions,
            network_policy: self.network_policy,
            fail_mode: self.fail_mode,
            reload_interval: Duration::from_secs(self.certificate.reload_seconds),
            certificate: self.certificate,
            recording: self.decisions.validate()?,
            data: self.data,
        })
    }
}

fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.parse::<IpAddr>().is_ok() || (name.len() <= 253 && name.split('.').all(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(), &str>) {
        let read: Result<AdmissionConfig, _> = serde_yaml_ng::from_str(text);
        let result = read
            .map_err(|error| error.to_string())
            .and_then(|raw| raw.validate().map_err(|error| error.to_string()));
        match (result, expected) {
            (Ok(_), Ok(())) => {}
            (Err(message), Err(part)) => assert!(message.contains(part), "{message}"),
            (result, expected) => panic!("{text}: expected {expected:?}, got {result:?}"),
        }
    }

    #[test]
    fn every_key_has_a_default_and_bad_ones_are_refused() {
        check("{}", Ok(()));
        check("listen: 0.0.0.0:443\nfail_mode: open", Ok(()));
        check("listn: 0.0.0.0:443", Err("unknown field `listn`"));
        check(
            "pod_security: {enforce: strict}",
            Err("must be one of privileged, baseline, restricted"),
        );
        check("pod_security:\n  warn_version: 1.25", Err("line 2"));
        check(
            "pod_security: {warn_version: v2.0}",
            Err("must be \"latest\" or \"v1.x\""),
        );
        check(
            "limits: {reviews_max: 0}",
            Err("limits.reviews_max must not be 0"),
        );
        check(
            "limits: {timeout_max_milliseconds: 5}",
            Err("timeout_default_milliseconds is more"),
        );
        check("decisions: {review: false, line_bytes_max: 65536}", Ok(()));
        check(
            "decisions: {line_bytes_max: 1000}",
            Err("line_bytes_max is 1000: it must be from 65536 to 262144"),
        );
        check(
            "decisions: {redact: {names: '('}}",
            Err("redact.names is no regular expression: unclosed group"),
        );
        check("network_policy: {refuse: [empty_selectors]}", Ok(()));
        check(
            "network_policy: {refuse: [anything]}",
            Err("unknown variant `anything`"),
        );
        check("network_policy: {default_deny: [ingress]}", Ok(()));
        check("kubernetes: {kubeconfig: a, namespace: b}", Ok(()));
        check(
            "network_policy: {separate: [[a, a]]}",
            Err("must be the names of two namespaces"),
        );
        check(
            "network_policy: {never_open: [{name: n, from: {}, to: {internet: true}}]}",
            Err("never_open \"n\": from: ends: must name"),
        );
        check(
            "network_policy: {never_open: [{name: n, from: {internet: true}, to: {cidrs: [1.2.3]}}]}",
            Err("to: cidrs[0]: must be a CIDR"),
        );
        check("certificate: {cert_file: a.pem}", Err("belong together"));
        check(
            "certificate: {names: [taffrail.taffrail.svc, 10.0.0.1]}",
            Ok(()),
        );
        check(
            "certificate: {names: ['a b']}",
            Err("neither a DNS name nor an address"),
        );
    }

    #[test]
    fn the_defaults_refuse_what_reaches_for_the_node() {
        let config = AdmissionConfig::default().validate().unwrap();
        assert_eq!(config.defaults.enforce.to_string(), "baseline:latest");
        assert_eq!(config.fail_mode, FailMode::Closed);
        assert!(config.exemptions.namespaces.contains("kube-system"));
    }
}
