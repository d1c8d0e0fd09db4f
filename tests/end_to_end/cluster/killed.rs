//! The webhook is killed while Pods are created.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::creates::{Creates, Outcome};
use super::install::Installed;

const KILLS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs deploy/testcluster and port 443: run by .ci/run"]
async fn what_was_answered_is_kept_and_nothing_slips_in() {
    let mut installed = Installed::new(&[], &json!({})).await;
    // One process with stores of its own: what it answers is stored before.
    let folder = installed.cluster.folder().join("everything");
    let mut replica = installed.started_as("run", folder.clone());
    installed.asked(&replica).await;
    let creates = Creates::stored(&installed.cluster.asking());
    for _ in 0..KILLS {
        creates.more(60).await;
        replica.process.kill();
        installed.service.remove(replica.address);
        replica = installed.started_as("run", folder.clone());
        installed.ready(&replica).await;
    }
    creates.more(60).await;
    let (answered, failures) = creates.end().await;
    // While nobody answers, nothing is admitted, and whoever asks is told why.
    for failure in &failures {
        assert!(failure.contains("failed calling webhook"), "{failure}");
    }
    let pods = ["get", "pods", "-o", "jsonpath={.items[*].metadata.name}"];
    let pods = installed.cluster.done(&pods, "");
    let slipped: Vec<_> = pods
        .split(' ')
        .filter(|name| name.starts_with("privileged"))
        .collect();
    assert_eq!(slipped, Vec::<&str>::new());

    let decisions = r#"{job="taffrail/admission"}"#;
    let lines = replica.process.lines(decisions).await;
    let text = |decision: &Value, key: &str| decision[key].as_str().unwrap_or_default().to_owned();
    let decided: BTreeMap<String, String> = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"))
        .map(|decision| (text(&decision, "name"), text(&decision, "verdict")))
        .collect();
    for (name, outcome) in &answered {
        let verdict = match outcome {
            Outcome::Admitted => "allow",
            Outcome::Refused => "deny",
        };
        assert_eq!(
            decided.get(name).map(String::as_str),
            Some(verdict),
            "{name}"
        );
    }
    println!(
        "killed: {KILLS} times; {} decisions answered, all there; {} creates failed in between",
        answered.len(),
        failures.len(),
    );
}
