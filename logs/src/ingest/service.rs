//! `service_name`: the label that says which program a stream is of.
//!
//! Loki's documentation names the labels that are looked at, in this order. A stream that says it itself is
//! left alone, and one that says nothing of the kind is of `unknown_service`.

use model::labels::Labels;

/// The label that is derived.
pub const SERVICE_NAME: &str = "service_name";
/// Its value where no label says anything.
pub const UNKNOWN_SERVICE: &str = "unknown_service";

/// Labels that name a service, the most telling first.
const NAMING_LABELS: [&str; 12] = [
    "service",
    "app",
    "application",
    "name",
    "app_kubernetes_io_name",
    "container",
    "container_name",
    "k8s_container_name",
    "component",
    "workload",
    "job",
    "k8s_job_name",
];

/// The stream's labels with `service_name`.
pub fn with_service_name(labels: &Labels) -> Labels {
    if labels.get(SERVICE_NAME).is_some() {
        return labels.clone();
    }
    let service = NAMING_LABELS
        .iter()
        .find_map(|name| labels.get(name))
        .unwrap_or(UNKNOWN_SERVICE);
    labels.to_builder().set(SERVICE_NAME, service).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_telling_label_names_the_service() {
        let check = |pairs: &[(&str, &str)], expected: &str| {
            let labels = with_service_name(&Labels::from_pairs(pairs.iter().copied()));
            assert_eq!(labels.get(SERVICE_NAME), Some(expected), "{pairs:?}");
        };
        check(&[("job", "j"), ("app", "a")], "a");
        check(&[("container", "c"), ("job", "j")], "c");
        check(&[("filename", "/var/log/syslog")], UNKNOWN_SERVICE);
        check(&[("service_name", "s"), ("app", "a")], "s");
    }
}
