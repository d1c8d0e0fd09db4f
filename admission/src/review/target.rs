//! The objects we judge, by the resource a request names or the kind a manifest does.

/// The objects we judge, by what is done with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// A pod: enforced, audited, warned about.
    Pod,
    /// Something that makes pods from a template: audited and warned about, for its pods will
    /// be judged themselves.
    Workload(Workload),
    /// A namespace, whose labels choose the policy.
    Namespace,
    /// Anything else.
    Other,
}

/// What makes pods from a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "Kubernetes' own kinds")]
pub enum Workload {
    ReplicationController,
    PodTemplate,
    ReplicaSet,
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
    CronJob,
}

/// Group, resource, kind, target. An empty group is the core API's.
const TARGETS: &[(&str, &str, &str, Target)] = &[
    ("", "pods", "Pod", Target::Pod),
    ("", "namespaces", "Namespace", Target::Namespace),
    (
        "",
        "replicationcontrollers",
        "ReplicationController",
        Target::Workload(Workload::ReplicationController),
    ),
    (
        "",
        "podtemplates",
        "PodTemplate",
        Target::Workload(Workload::PodTemplate),
    ),
    (
        "apps",
        "replicasets",
        "ReplicaSet",
        Target::Workload(Workload::ReplicaSet),
    ),
    (
        "apps",
        "deployments",
        "Deployment",
        Target::Workload(Workload::Deployment),
    ),
    (
        "apps",
        "statefulsets",
        "StatefulSet",
        Target::Workload(Workload::StatefulSet),
    ),
    (
        "apps",
        "daemonsets",
        "DaemonSet",
        Target::Workload(Workload::DaemonSet),
    ),
    ("batch", "jobs", "Job", Target::Workload(Workload::Job)),
    (
        "batch",
        "cronjobs",
        "CronJob",
        Target::Workload(Workload::CronJob),
    ),
];

impl Target {
    /// By the resource a request names.
    pub fn of_resource(group: &str, resource: &str) -> Self {
        TARGETS
            .iter()
            .find(|(its_group, its_resource, ..)| *its_group == group && *its_resource == resource)
            .map_or(Target::Other, |(.., target)| *target)
    }

    /// By the kind an object names.
    pub fn of_kind(group: &str, kind: &str) -> Self {
        TARGETS
            .iter()
            .find(|(its_group, _, its_kind, _)| *its_group == group && *its_kind == kind)
            .map_or(Target::Other, |(.., target)| *target)
    }

    /// The kind, or `other`: what a metric's label may hold.
    pub fn as_str(self) -> &'static str {
        TARGETS
            .iter()
            .find(|(.., target)| *target == self)
            .map_or("other", |(_, _, kind, _)| kind)
    }
}

/// The group of an apiVersion: what stands before the slash, if there is one.
pub fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}
