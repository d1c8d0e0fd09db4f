//! Reloading by hand, look by look.

use std::fs;
use std::path::Path;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::json;

use super::*;
use crate::bundle::input::PodInput;
use crate::config::AdmissionConfig;
use crate::pod_security::{Level, LevelVersion};

const NOTHING: &str = "package pod_security\n\nviolations := []\n";
const SOMETHING: &str = "package pod_security\n\n\
    violations := [{\"rule\": \"r\", \"reason\": \"why\", \"fields\": [\"spec\"]}]\n";

fn keeper(directory: &Path, registry: &mut Registry) -> Keeper {
    let config = AdmissionConfig {
        policies: Some(directory.join("policies")),
        ..AdmissionConfig::default()
    };
    keeper_of(config, directory, registry)
}

fn keeper_of(mut config: AdmissionConfig, directory: &Path, registry: &mut Registry) -> Keeper {
    config.certificate.directory = Some(directory.join("certificates"));
    let config = config.validate().unwrap();
    let bundle = Bundle::of(&config.sources().unwrap()).unwrap();
    let certificate = Certificate::open(&config.certificate).unwrap();
    let bundles = Arc::new(Bundles::new(bundle));
    let metrics = Metrics::register(registry);
    Keeper::new(&config, bundles, certificate, Arc::default(), metrics)
}

fn violations(keeper: &Keeper) -> usize {
    let nothing = json!({});
    let pod = PodInput::new(&nothing, &nothing);
    let policy = LevelVersion::latest(Level::Baseline);
    let found = keeper
        .bundles
        .current()
        .pod_violations(pod, policy, Duration::from_mins(1));
    found.unwrap().len()
}

#[test]
fn changed_policies_come_into_force_and_broken_ones_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let main = directory.path().join("policies/main.rego");
    fs::create_dir(main.parent().unwrap()).unwrap();
    fs::write(&main, NOTHING).unwrap();
    let mut registry = Registry::default();
    let mut keeper = keeper(directory.path(), &mut registry);
    keeper.refresh_policies();
    assert_eq!(violations(&keeper), 0);

    fs::write(&main, SOMETHING).unwrap();
    keeper.refresh_policies();
    assert_eq!(violations(&keeper), 1);

    // Said once, however often it is looked at; and again when it is broken otherwise.
    for text in ["package", "package", "package pod_security\n"] {
        fs::write(&main, text).unwrap();
        keeper.refresh_policies();
        assert_eq!(violations(&keeper), 1, "what was in force stays");
        assert_eq!(keeper.complaints.len(), 1, "{:?}", keeper.complaints);
    }
    fs::write(&main, NOTHING).unwrap();
    keeper.refresh_policies();
    assert_eq!(violations(&keeper), 0);
    assert!(keeper.complaints.is_empty(), "{:?}", keeper.complaints);

    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    let failed = "taffrail_admission_reloads_total{what=\"policies\",result=\"failure\"} 2";
    assert!(text.contains(failed), "{text}");
}

#[test]
fn the_end_of_the_certificate_is_told() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("policies")).unwrap();
    fs::write(directory.path().join("policies/main.rego"), NOTHING).unwrap();
    let mut keeper = keeper(directory.path(), &mut Registry::default());
    keeper.refresh_certificate();
    let days = (keeper.metrics.certificate_expiry.get()
        - jiff::Timestamp::now().as_second() as f64)
        / 86_400.0;
    assert!((88.0..=91.0).contains(&days), "{days}");
    assert!(keeper.complaints.is_empty(), "{:?}", keeper.complaints);
}

#[test]
fn a_changed_template_comes_into_force_and_a_broken_one_leaves_all_as_it_was() {
    const TEMPLATE: &str = "apiVersion: templates.gatekeeper.sh/v1\nkind: ConstraintTemplate\n\
        metadata: {name: a}\nspec:\n  crd: {spec: {names: {kind: A}}}\n  targets:\n  \
        - {target: admission.k8s.gatekeeper.sh, rego: 'package a violation[x] { x := RULE }'}\n";
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("gatekeeper");
    fs::create_dir(&folder).unwrap();
    let mut config = AdmissionConfig::default();
    config.gatekeeper.directory = Some(folder.clone());
    let mut registry = Registry::default();
    let mut keeper = keeper_of(config, directory.path(), &mut registry);
    for (rule, templates) in [("1", 1), ("nothing(1)", 1), ("{", 1), ("2", 1)] {
        fs::write(folder.join("t.yaml"), TEMPLATE.replace("RULE", rule)).unwrap();
        keeper.refresh_policies();
        assert_eq!(
            keeper.bundles.current().constraints().templates(),
            templates,
            "{rule}"
        );
    }
    fs::remove_file(folder.join("t.yaml")).unwrap();
    keeper.refresh_policies();
    assert_eq!(keeper.bundles.current().constraints().templates(), 0);
}

#[test]
fn nobody_waits_for_trust_where_somebody_else_gives_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = AdmissionConfig::default();
    let keeper = keeper_of(config.clone(), directory.path(), &mut Registry::default());
    assert!(keeper.trusted.load(Ordering::Acquire));
    assert!(!keeper.awaits_trust());
    config.certificate.webhook_configuration = Some("taffrail".into());
    config.kubernetes.kubeconfig = Some(directory.path().join("kubeconfig"));
    let keeper = keeper_of(config, directory.path(), &mut Registry::default());
    assert!(!keeper.trusted.load(Ordering::Acquire));
    assert!(keeper.awaits_trust());
}
