//! Replicas are replaced while Pods are created, and nobody notices.

use serde_json::json;

use super::creates::Creates;
use super::install::{Installed, Replica};

/// How often both replicas are replaced.
const ROLLOUTS: usize = 2;

/// What the Deployment's controller and the kubelet do with a Pod that goes: SIGTERM, and its end is waited for.
async fn stop(installed: &Installed, replica: Replica) {
    let Replica {
        process,
        address,
        folder,
    } = replica;
    let stopped = tokio::task::spawn_blocking(move || process.terminate());
    let status = stopped.await.expect("no panic");
    let log = std::fs::read_to_string(folder.join("log")).expect("a log");
    assert!(status.success(), "{status}: {log}");
    installed.service.remove(address);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs deploy/testcluster and port 443: run by .ci/run"]
async fn a_rolling_restart_costs_not_one_create() {
    let (mut installed, first) = Installed::with_replica(&[], &json!({})).await;
    let second = installed.replica();
    installed.ready(&second).await;
    let creates = Creates::dry(&installed.cluster.asking());
    let mut replicas = vec![first, second];
    for _ in 0..ROLLOUTS * replicas.len() {
        creates.more(50).await;
        // As with maxUnavailable 0: a new one is ready before an old one goes.
        let fresh = installed.replica();
        installed.ready(&fresh).await;
        replicas.push(fresh);
        stop(&installed, replicas.remove(0)).await;
    }
    creates.more(50).await;
    let (answered, failures) = creates.end().await;
    assert_eq!(failures, Vec::<String>::new(), "of {}", answered.len());
    println!(
        "rollout: {} creates over {ROLLOUTS} restarts of both replicas",
        answered.len()
    );
}
