//! Manifests held against the bundle before anybody applies them.
//!
//! Reads what `kubectl apply` reads: YAML or JSON, many documents in a file, Lists of objects.
//! Pods and what makes pods are judged at one level, by the same rules and in the same words as
//! at the API server, network policies by what none may say, and everything that constraints match is held against them; the rest is passed over. A document that cannot be read is a
//! result of its own, so that one broken file hides no other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use crate::bundle::network::NetworkChange;
use crate::bundle::{Bundle, LoadError, Sources};
use crate::config::{AdmissionConfig, Config, ConfigError, FailMode, NetworkPolicyConfig};
use crate::gatekeeper::matching::Origin;
use crate::gatekeeper::policies::Judged;
use crate::gatekeeper::{Action, EnforcementPoint, Inventory, Request};
use crate::network_policy::World;
use crate::pod_security::LevelVersion;
use crate::review::pod::Pod;
use crate::review::{Operation, Target, group_of};
use crate::verdict::{Denial, Violations};
use crate::yaml;

/// No manifest takes longer.
pub(crate) const EVALUATION_LIMIT: Duration = Duration::from_secs(10);

/// A bundle and the level manifests are held to.
#[derive(Debug)]
pub struct Checker {
    pub(crate) fail_mode: FailMode,
    pub(crate) bundle: Bundle,
    pub(crate) policy: LevelVersion,
    /// Those that are about the object alone.
    pub(crate) network: NetworkPolicyConfig,
}

/// Why there is nothing to check with.
#[derive(Debug, thiserror::Error)]
pub enum CheckerError {
    /// The configuration does not hold.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The policies do not load.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// What became of one object of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckResult {
    /// The file, as the caller named it.
    pub file: String,
    /// Which document of the file, from 1.
    pub document: usize,
    /// The object's kind; empty where it could not be read.
    pub kind: String,
    /// Its namespace; empty where the manifest names none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What is to be said of it.
    pub verdict: CheckVerdict,
    /// Why, in upstream's words.
    pub messages: Vec<String>,
    /// What is said of it without refusing it.
    pub warnings: Vec<String>,
    /// The rules that gave the messages, then the warnings: `PodSecurity`, `NetworkPolicy`, and `KIND/NAME` of constraints.
    pub rules: Vec<String>,
    /// The object paths the messages are about.
    pub paths: Vec<String>,
}

/// What is to be said of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckVerdict {
    /// Nothing speaks against it.
    Pass,
    /// It would be refused, or its pods would.
    Fail,
    /// Nothing is judged of its kind.
    Skip,
    /// It could not be read or judged.
    Error,
}

impl Checker {
    /// With the policies and the enforced level of a configuration.
    pub fn new(config: &AdmissionConfig) -> Result<Self, CheckerError> {
        let config = config.clone().validate()?;
        Ok(Checker::of(&config, &config.sources()?)?)
    }

    pub(crate) fn of(config: &Config, sources: &Sources) -> Result<Self, LoadError> {
        Ok(Checker {
            fail_mode: config.fail_mode,
            bundle: Bundle::of(sources)?,
            policy: config.defaults.enforce,
            network: NetworkPolicyConfig {
                refuse: config.network_policy.refuse.clone(),
                exempt_namespaces: config.network_policy.exempt_namespaces.clone(),
                ..NetworkPolicyConfig::default()
            },
        })
    }

    /// At another level.
    #[must_use]
    pub fn at(mut self, policy: LevelVersion) -> Self {
        self.policy = policy;
        self
    }

    /// Checks the text of one file, object by object.
    pub fn check(&self, file: &str, text: &str) -> Vec<CheckResult> {
        let objects = objects(text).into_iter();
        objects
            .map(|(document, object)| self.one(file, document, object))
            .collect()
    }

    /// Checks one object, or says why it could not be read.
    pub(crate) fn one(
        &self,
        file: &str,
        document: usize,
        object: Result<Value, String>,
    ) -> CheckResult {
        let mut result = CheckResult {
            file: file.to_string(),
            document,
            kind: String::new(),
            namespace: String::new(),
            name: String::new(),
            verdict: CheckVerdict::Skip,
            messages: Vec::new(),
            warnings: Vec::new(),
            rules: Vec::new(),
            paths: Vec::new(),
        };
        match object {
            Ok(object) => self.object(&object, &mut result),
            Err(problem) => {
                result.verdict = CheckVerdict::Error;
                result.messages.push(problem);
            }
        }
        result
    }

    fn object(&self, object: &Value, result: &mut CheckResult) {
        let text = |pointer: &str| {
            let value = object.pointer(pointer).and_then(Value::as_str);
            value.unwrap_or_default().to_string()
        };
        result.kind = text("/kind");
        result.namespace = text("/metadata/namespace");
        result.name = text("/metadata/name");
        if result.kind.is_empty() {
            result.verdict = CheckVerdict::Error;
            result
                .messages
                .push("the document names no kind".to_string());
            return;
        }
        let target = Target::of_kind(group_of(&text("/apiVersion")), &result.kind);
        self.judge(target, object, result);
        self.network(object, result);
        self.constraints(object, result);
    }

    fn judge(&self, target: Target, object: &Value, result: &mut CheckResult) {
        let prefix = match target {
            Target::Pod => "violates",
            Target::Workload(_) => "would violate",
            Target::Namespace | Target::Other => return,
        };
        let found = Pod::of(target, object)
            .map_err(|error| error.to_string())
            .and_then(|pod| {
                let Some(pod) = pod else {
                    return Ok(Vec::new());
                };
                self.bundle
                    .pod_violations(pod.input, self.policy, EVALUATION_LIMIT)
                    .map_err(|error| error.to_string())
            });
        match found.map(Violations::from_list) {
            Ok(None) => result.verdict = CheckVerdict::Pass,
            Ok(Some(violations)) => {
                result.verdict = CheckVerdict::Fail;
                result.rules.push("PodSecurity".to_string());
                result.messages.push(format!(
                    "{prefix} PodSecurity \"{}\": {violations}",
                    self.policy
                ));
                let violations = violations.as_slice().iter();
                let fields = violations.flat_map(|violation| violation.fields().iter().cloned());
                result.paths.extend(fields);
            }
            Err(problem) => {
                result.verdict = CheckVerdict::Error;
                result.messages.push(problem);
            }
        }
    }
}

impl Checker {
    /// What no network policy may say. Rules about the whole cluster are not asked: nobody here knows it.
    fn network(&self, object: &Value, result: &mut CheckResult) {
        if !self.network.is_on() || result.verdict == CheckVerdict::Error {
            return;
        }
        let change = network_change(object, &result.namespace);
        let world = Ok(Arc::new(World::new()));
        let found = (self.bundle)
            .network_violations(world, change, &self.network, EVALUATION_LIMIT)
            .map(Violations::from_list);
        match found {
            Ok(None) => {
                if is_network_policy(object) && result.verdict == CheckVerdict::Skip {
                    result.verdict = CheckVerdict::Pass;
                }
            }
            Ok(Some(violations)) => {
                result.verdict = CheckVerdict::Fail;
                result.rules.push("NetworkPolicy".to_string());
                let denial = Denial::opens(&violations);
                result.messages.push(denial.message().to_string());
                let violations = violations.as_slice().iter();
                let fields = violations.flat_map(|violation| violation.fields().iter().cloned());
                result.paths.extend(fields);
            }
            Err(error) => {
                result.verdict = CheckVerdict::Error;
                result.messages.push(error.to_string());
            }
        }
    }

    fn constraints(&self, object: &Value, result: &mut CheckResult) {
        let constraints = self.bundle.constraints();
        if constraints.is_empty() || result.verdict == CheckVerdict::Error {
            return;
        }
        let findings = Request::of_object(object, Origin::Original)
            .map_err(|error| error.to_string())
            .and_then(|request| {
                let deadline = Instant::now() + EVALUATION_LIMIT;
                let inventory = Inventory::unknown();
                let point = EnforcementPoint::Gator;
                let found = constraints.review_expanded(
                    &request,
                    &inventory,
                    point,
                    self.fail_mode,
                    deadline,
                );
                found.map_err(|error| error.to_string())
            });
        let findings = match findings {
            Ok(findings) => findings,
            Err(problem) => {
                result.verdict = CheckVerdict::Error;
                result.messages.push(problem);
                return;
            }
        };
        if findings.asked > 0 && result.verdict == CheckVerdict::Skip {
            result.verdict = CheckVerdict::Pass;
        }
        let mut warned = Vec::new();
        for finding in findings.findings {
            let said = format!("[{}] {}", finding.constraint, finding.message);
            let rule = format!("{}/{}", finding.kind, finding.constraint);
            if finding.judged == Judged::FailedClosed {
                result.verdict = CheckVerdict::Error;
                result.messages.push(said);
                result.rules.push(rule);
            } else if finding.judged != Judged::FailedOpen
                && finding.actions.contains(&Action::Deny)
            {
                if result.verdict != CheckVerdict::Error {
                    result.verdict = CheckVerdict::Fail;
                }
                result.messages.push(said);
                result.rules.push(rule);
            } else {
                result.warnings.push(said);
                warned.push(rule);
            }
        }
        result.rules.extend(warned);
    }
}

/// The objects of a text by their documents, from 1; those of Lists one by one. What cannot be read is one of them, and the last:
/// the reader has lost its place, and what follows would be guesses.
pub(crate) fn objects(text: &str) -> Vec<(usize, Result<Value, String>)> {
    let mut found = Vec::new();
    for (i, document) in yaml::documents(text).enumerate() {
        match document {
            Ok(Value::Null) => {}
            Ok(object) => items(object, i + 1, &mut found),
            Err(error) => found.push((i + 1, Err(error.to_string()))),
        }
    }
    found
}

fn items(mut object: Value, document: usize, into: &mut Vec<(usize, Result<Value, String>)>) {
    let kind = object.get("kind").and_then(Value::as_str);
    if kind.is_some_and(|kind| kind.ends_with("List"))
        && let Some(Value::Array(list)) = object.get_mut("items").map(Value::take)
    {
        for item in list {
            items(item, document, into);
        }
        return;
    }
    into.push((document, Ok(object)));
}

/// An object as if it were made now.
pub(crate) fn network_change<'a>(object: &'a Value, namespace: &'a str) -> NetworkChange<'a> {
    NetworkChange {
        operation: Operation::Create.as_str(),
        namespace,
        object,
        old_object: &Value::Null,
    }
}

/// Whether the rules about who may reach whom judge what an object says.
pub(crate) fn is_network_policy(object: &Value) -> bool {
    let text = |name| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let group = group_of(text("apiVersion"));
    matches!(
        (group, text("kind")),
        ("networking.k8s.io", "NetworkPolicy") | ("policy.networking.k8s.io", _)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(usize, &str, CheckVerdict, &str)]) {
        let checker = Checker::new(&AdmissionConfig::default()).unwrap();
        let results = checker.check("test.yaml", text);
        let got: Vec<_> = results
            .iter()
            .map(|result| {
                let name = format!("{} {}", result.kind, result.name);
                (
                    result.document,
                    name,
                    result.verdict,
                    result.messages.join("; "),
                )
            })
            .collect();
        assert_eq!(got.len(), expected.len(), "{got:?}");
        for ((document, name, verdict, message), expected) in got.iter().zip(expected) {
            let same = (*document, name.as_str(), *verdict) == (expected.0, expected.1, expected.2);
            assert!(
                same && message.contains(expected.3),
                "{got:?}, not {expected:?}"
            );
        }
    }

    #[test]
    fn documents_and_lists_are_judged_one_by_one() {
        check(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {name: good}\nspec: {containers: [{name: a}]}\n\
             ---\n# nothing\n---\n\
             apiVersion: v1\nkind: List\nitems:\n\
             - {apiVersion: v1, kind: Pod, metadata: {name: bad}, spec: {hostNetwork: true}}\n\
             - {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}\n\
             ---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n\
             spec: {template: {spec: {hostPID: true}}}\n",
            &[
                (1, "Pod good", CheckVerdict::Pass, ""),
                (
                    3,
                    "Pod bad",
                    CheckVerdict::Fail,
                    "violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)",
                ),
                (3, "ConfigMap c", CheckVerdict::Skip, ""),
                (
                    4,
                    "Deployment web",
                    CheckVerdict::Fail,
                    "would violate PodSecurity \"baseline:latest\": host namespaces (hostPID=true)",
                ),
            ],
        );
    }

    #[test]
    fn json_is_read_too() {
        check(
            r#"{"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "j"},
                "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": []}}}}}}"#,
            &[(1, "CronJob j", CheckVerdict::Pass, "")],
        );
    }

    #[test]
    fn constraints_speak_of_every_kind() {
        let mut config = AdmissionConfig::default();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gatekeeper/expansion");
        config.gatekeeper.directory = Some(folder.into());
        let checker = Checker::new(&config).unwrap();
        let manifest = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: n}, \
            spec: {template: {spec: {hostNetwork: true, containers: []}}}}";
        let results = checker.check("f", manifest);
        let said = "[hostnetwork] [Implied by pods] Pod d-pod uses the host's network";
        assert_eq!(results[0].messages[1], said);
        assert_eq!(
            results[0].rules,
            ["PodSecurity", "NoHostNetwork/hostnetwork"]
        );
        config.gatekeeper.directory = Some(folder.replace("expansion", "owner_labels").into());
        let refused = Checker::new(&config).unwrap_err().to_string();
        assert!(
            refused.contains("wrong_type.yaml: ") && refused.contains("expected type array"),
            "{refused}"
        );
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        check("a: b: c", &[(1, " ", CheckVerdict::Error, "line 1")]);
        check(
            "metadata: {name: x}",
            &[(1, " x", CheckVerdict::Error, "no kind")],
        );
        check(
            "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {hostNetwork: 'yes'}}",
            &[(1, "Pod p", CheckVerdict::Error, "expected a boolean")],
        );
    }
}
