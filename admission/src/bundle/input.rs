//! What a policy is asked about, as Rego values.
//!
//! A member that is null is left out, for Kubernetes makes no difference between the two and a
//! rule should not have to. Of the rest, a [plan](crate::rego::plan) gets what it [looks at](Reads), for values are made at a
//! price; the interpreter, and whoever explains, gets it as it came, also what no check reads today.

use std::collections::BTreeMap;

use regorus::Value;
use serde_json::Value as Json;

use crate::pod_security::LevelVersion;
use crate::rego::plan::{Key, Reads, TooLong};

/// A pod to be asked about.
#[derive(Debug, Clone, Copy)]
pub struct PodInput<'a> {
    metadata: &'a Json,
    spec: &'a Json,
}

impl<'a> PodInput<'a> {
    /// From the metadata and the spec of a pod, or of the template of one.
    pub fn new(metadata: &'a Json, spec: &'a Json) -> Self {
        PodInput { metadata, spec }
    }

    /// The pod, as far as it is looked at, to be asked about at as many levels as needed.
    pub(crate) fn read(self, reads: &Reads) -> PodValue {
        let members = self.looked_at(reads).into_iter().flatten();
        PodValue(object(members.map(|(name, value, reads)| {
            (name, reads.value_of(value, counts))
        })))
    }

    /// Writes what [`PodInput::read`] makes a value of.
    pub(super) fn write(self, reads: &Reads, key: &mut Key) -> Result<(), TooLong> {
        for member in self.looked_at(reads) {
            let Some((_, value, reads)) = member else {
                key.raw(&[0])?;
                continue;
            };
            key.raw(&[1])?;
            key.value(reads, value, counts)?;
        }
        Ok(())
    }

    /// Its members, where there is something to look at, and what is looked at of them.
    fn looked_at(self, reads: &Reads) -> [Option<(&'static str, &'a Json, &Reads)>; 2] {
        [("metadata", self.metadata), ("spec", self.spec)].map(|(name, value)| {
            let reads = reads.of(name)?;
            counts(value).then_some((name, value, reads))
        })
    }

    /// All of it.
    pub(crate) fn whole(self) -> PodValue {
        self.read(&Reads::whole())
    }
}

/// Whether a member is there for Kubernetes.
fn counts(member: &Json) -> bool {
    !member.is_null()
}

/// A pod as a value.
#[derive(Debug, Clone)]
pub(crate) struct PodValue(Value);

impl PodValue {
    pub(crate) fn at(&self, policy: LevelVersion) -> Value {
        object([
            ("level", Value::from(policy.level.as_str())),
            ("version", Value::from(policy.version.judged_as())),
            ("pod", self.0.clone()),
        ])
    }
}

fn object<'a>(members: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::from(
        members
            .into_iter()
            .map(|(name, value)| (Value::from(name), value))
            .collect::<BTreeMap<_, _>>(),
    )
}
