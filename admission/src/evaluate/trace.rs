//! What an evaluation took, rule by rule.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::data::Asked;

/// What the checks of the Pod Security Standards are called together.
pub const POD_SECURITY: &str = "PodSecurity";

/// What the rules about who may reach whom are called together.
pub const NETWORK_POLICY: &str = "NetworkPolicy";

/// Which rules are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// The checks of the Pod Security Standards.
    pub pod_security: bool,
    /// The rules about who may reach whom.
    pub network_policy: bool,
    /// Gatekeeper's constraints.
    pub constraints: bool,
}

impl Parts {
    /// All of them.
    pub const ALL: Self = Parts {
        pod_security: true,
        network_policy: true,
        constraints: true,
    };
}

/// What an evaluation did, kept beside the verdict; also where there is none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trace {
    /// How long each rule took that was asked: [`POD_SECURITY`], [`NETWORK_POLICY`], `KIND/NAME` of constraints.
    pub times: Vec<(String, Duration)>,
    /// The labels of the namespace that it happened in, where they were known.
    pub namespace_labels: BTreeMap<String, String>,
    /// What rules asked beside the object.
    pub asked: Vec<Asked>,
}

impl Trace {
    /// Runs what evaluates `rule`, and notes how long it took.
    pub(crate) fn timed<T>(&mut self, rule: &str, evaluate: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let value = evaluate();
        self.times.push((rule.to_string(), begun.elapsed()));
        value
    }
}
