//! `web`: how the HTTP port is protected.
//!
//! The words and their meaning are those of Prometheus' web configuration file, so that such a file can
//! be brought along as it is (`config_file`); what it has no word for, bearer tokens, stands beside
//! it. Only the form is checked here. What the files hold is read where they are taken up
//! ([`crate::web`]), at the start and again whenever they change. No `Debug` shows a secret.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::tier::Secret;

/// The section as it is written, and the file that it names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WebSection {
    /// A file with the keys below, such as Prometheus' `--web.config.file`.
    pub(crate) config_file: Option<PathBuf>,
    /// TLS; none without it.
    pub(crate) tls_server_config: Option<TlsSection>,
    /// What is said of HTTP.
    pub(crate) http_server_config: Option<HttpSection>,
    /// Users by name, with bcrypt's hashes of their passwords.
    pub(crate) basic_auth_users: Option<BTreeMap<String, Secret>>,
    /// Files of bearer tokens; also beside `config_file`.
    pub(crate) bearer_token_files: Vec<PathBuf>,
    /// Connections at a time; one address may have half of them. Also beside `config_file`.
    pub(crate) connections_max: Option<NonZeroUsize>,
}

/// TLS as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TlsSection {
    /// The certificate and its chain, in place.
    pub(crate) cert: Option<String>,
    /// Its key, in place.
    pub(crate) key: Option<Secret>,
    /// The file with the certificate and its chain.
    pub(crate) cert_file: Option<PathBuf>,
    /// The file with its key.
    pub(crate) key_file: Option<PathBuf>,
    /// What is asked of clients.
    pub(crate) client_auth_type: ClientAuthType,
    /// Whose client certificates are accepted, in place.
    pub(crate) client_ca: Option<String>,
    /// The file of those.
    pub(crate) client_ca_file: Option<PathBuf>,
    /// The subject alternative names that are accepted; any where there are none.
    pub(crate) client_allowed_sans: Vec<String>,
    /// The suites of TLS 1.2, by their names.
    pub(crate) cipher_suites: Vec<String>,
    /// Has no meaning any more, as in Go.
    pub(crate) prefer_server_cipher_suites: Option<bool>,
    /// The key exchange groups.
    pub(crate) curve_preferences: Vec<String>,
    /// The least version.
    pub(crate) min_version: Option<TlsVersion>,
    /// The greatest version.
    pub(crate) max_version: Option<TlsVersion>,
}

/// What is asked of clients, in Go's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum ClientAuthType {
    /// Nothing.
    #[default]
    #[serde(alias = "")]
    NoClientCert,
    /// A certificate of any kind, if they have one; it proves nothing.
    RequestClientCert,
    /// A certificate of any kind; it proves nothing.
    #[serde(alias = "RequireClientCert")]
    RequireAnyClientCert,
    /// A certificate that holds, if they have one.
    VerifyClientCertIfGiven,
    /// A certificate that holds.
    RequireAndVerifyClientCert,
}

/// A version of TLS. Those before 1.2 are not spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) enum TlsVersion {
    /// 1.2.
    #[serde(rename = "TLS12")]
    Tls12,
    /// 1.3.
    #[serde(rename = "TLS13")]
    Tls13,
}

/// What is said of HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HttpSection {
    /// Whether HTTP/2 is offered in a TLS handshake; it is where nothing is said.
    pub(crate) http2: Option<bool>,
    /// Headers of every answer.
    pub(crate) headers: Option<HeadersSection>,
}

/// The headers that may be set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HeadersSection {
    /// By their names.
    #[serde(rename = "Content-Security-Policy")]
    pub(crate) content_security_policy: Option<String>,
    /// By their names.
    #[serde(rename = "X-Frame-Options")]
    pub(crate) frame_options: Option<String>,
    /// By their names.
    #[serde(rename = "X-Content-Type-Options")]
    pub(crate) content_type_options: Option<String>,
    /// By their names.
    #[serde(rename = "X-XSS-Protection")]
    pub(crate) xss_protection: Option<String>,
    /// By their names.
    #[serde(rename = "Strict-Transport-Security")]
    pub(crate) strict_transport_security: Option<String>,
}

/// As many connections as upstream has.
const CONNECTIONS_MAX: NonZeroUsize = NonZeroUsize::new(512).unwrap();

impl WebSection {
    /// Connections at a time.
    pub(crate) fn connections_max(&self) -> NonZeroUsize {
        self.connections_max.unwrap_or(CONNECTIONS_MAX)
    }

    /// Makes what is relative relative to the folder of the file it stands in.
    pub(crate) fn resolve(&mut self, folder: &Path) {
        let tls = self.tls_server_config.as_mut();
        let of_tls = tls.into_iter().flat_map(|tls| {
            let files = [
                &mut tls.cert_file,
                &mut tls.key_file,
                &mut tls.client_ca_file,
            ];
            files.into_iter().flatten()
        });
        let of_tokens = self.bearer_token_files.iter_mut();
        for path in self.config_file.iter_mut().chain(of_tls).chain(of_tokens) {
            *path = folder.join(&*path);
        }
    }

    /// What the types do not say. An error begins with its key.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.config_file.is_some() {
            let others = [
                ("tls_server_config", self.tls_server_config.is_some()),
                ("http_server_config", self.http_server_config.is_some()),
                ("basic_auth_users", self.basic_auth_users.is_some()),
            ];
            if let Some((key, _)) = others.iter().find(|(_, is_there)| *is_there) {
                return Err(format!(
                    "web.{key}: stands here and belongs into `config_file`; leave one of them out"
                ));
            }
        }
        match &self.tls_server_config {
            Some(tls) => tls.check(),
            None => Ok(()),
        }
    }
}

impl TlsSection {
    /// Whether anything is said that makes a TLS port.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn check(&self) -> Result<(), String> {
        if self.is_empty() {
            return Ok(());
        }
        let wrong =
            |key: &str, problem: &str| Err(format!("web.tls_server_config.{key}: {problem}"));
        for (name, is_inline, is_file) in [
            ("cert", self.cert.is_some(), self.cert_file.is_some()),
            ("key", self.key.is_some(), self.key_file.is_some()),
        ] {
            match (is_inline, is_file) {
                (true, true) => {
                    return wrong(name, "stands here and in a file; leave one of them out");
                }
                (false, false) => {
                    let file = format!("{name}_file");
                    return wrong(
                        &file,
                        "is missing: a TLS port needs a certificate and its key",
                    );
                }
                _ => {}
            }
        }
        let has_ca = self.client_ca.is_some() || self.client_ca_file.is_some();
        if self.client_ca.is_some() && self.client_ca_file.is_some() {
            return wrong(
                "client_ca",
                "stands here and in a file; leave one of them out",
            );
        }
        if has_ca != self.client_auth_type.is_verifying() {
            let (key, problem) = if has_ca {
                (
                    "client_ca_file",
                    "has no effect without `client_auth_type`: VerifyClientCertIfGiven or RequireAndVerifyClientCert",
                )
            } else {
                (
                    "client_auth_type",
                    "needs `client_ca_file`, the authorities whose certificates are accepted",
                )
            };
            return wrong(key, problem);
        }
        if !self.client_allowed_sans.is_empty() && !has_ca {
            return wrong(
                "client_allowed_sans",
                "has no effect without `client_ca_file` and a `client_auth_type` that verifies",
            );
        }
        if self.client_allowed_sans.iter().any(|san| san.contains('@')) {
            return wrong(
                "client_allowed_sans",
                "mail addresses are not compared; name the DNS names, addresses or URIs of clients",
            );
        }
        if self.min_version > self.max_version && self.max_version.is_some() {
            return wrong("min_version", "is above `max_version`");
        }
        Ok(())
    }
}

impl ClientAuthType {
    /// Whether a certificate that is presented proves who presents it.
    pub(crate) const fn is_verifying(self) -> bool {
        matches!(
            self,
            Self::VerifyClientCertIfGiven | Self::RequireAndVerifyClientCert
        )
    }
}

/// Reads and checks a web configuration file; paths in it are relative to its folder.
pub(crate) fn parse(path: &Path, text: &str) -> Result<WebSection, String> {
    let wrong = |problem: &str| format!("{}: {problem}", path.display());
    // A file of comments, or of nothing, is YAML's null.
    let read: Option<WebSection> =
        serde_yaml_ng::from_str(text).map_err(|error| wrong(&error.to_string()))?;
    let mut section = read.unwrap_or_default();
    if section.config_file.is_some() {
        return Err(wrong(
            "config_file: is the key of the program's own configuration",
        ));
    }
    section.resolve(path.parent().unwrap_or(Path::new("")));
    section
        .check()
        .map_err(|problem| wrong(problem.strip_prefix("web.").unwrap_or(&problem)))?;
    Ok(section)
}
