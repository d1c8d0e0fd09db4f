//! Authorities and certificates change while Pods are created, and nobody notices.

use std::path::Path;

use serde_json::{Value, json};

use super::creates::Creates;
use super::install::Installed;
use crate::harness::until;

/// The API server shakes hands anew whenever the caBundle changes, so that the certificate of one rotation is
/// looked at in the next.
const ROTATIONS: usize = 3;

fn read(folder: &Path, name: &str) -> String {
    let path = folder.join("data/admission").join(name);
    std::fs::read_to_string(path).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs deploy/testcluster and port 443: run by .ci/run"]
async fn rotation_costs_not_one_create() {
    let (installed, replica) = Installed::with_replica(&[], &json!({})).await;
    let ca_bundle = || {
        let path = "jsonpath={.webhooks[0].clientConfig.caBundle}";
        let get = ["get", "validatingwebhookconfiguration/taffrail", "-o", path];
        installed.cluster.done(&get, "")
    };
    let creates = Creates::dry(&installed.cluster.asking());
    creates.more(20).await;
    for _ in 0..ROTATIONS {
        let (bundle, serving) = (ca_bundle(), read(&replica.folder, "serving.pem"));
        // Whoever wants a new authority at once removes the one there is.
        std::fs::remove_file(replica.folder.join("data/admission/ca.pem")).expect("is there");
        until(
            "the API server is told to trust a new authority",
            async || (ca_bundle() != bundle).then_some(()),
        )
        .await;
        let overlap = read(&replica.folder, "ca.crt");
        assert_eq!(overlap.matches("BEGIN CERTIFICATE").count(), 2);
        until(
            "the webhook serves a certificate of the new one",
            async || (read(&replica.folder, "serving.pem") != serving).then_some(()),
        )
        .await;
        creates.more(50).await;
    }
    // A certificate alone.
    let serving = read(&replica.folder, "serving.pem");
    std::fs::remove_file(replica.folder.join("data/admission/serving.pem")).expect("is there");
    until("the webhook serves another certificate", async || {
        let now = read(&replica.folder, "serving.pem");
        (!now.is_empty() && now != serving).then_some(())
    })
    .await;
    // Applied in place of what is there, the manifest empties the caBundle, and the webhook fills it again.
    let empty: Vec<Value> = [0, 1]
        .map(|webhook| format!("/webhooks/{webhook}/clientConfig/caBundle"))
        .map(|path| json!({"op": "remove", "path": path}))
        .to_vec();
    let (answered, failures) = creates.end().await;
    assert_eq!(failures, Vec::<String>::new(), "of {}", answered.len());
    println!(
        "rotation: {} creates over {ROTATIONS} authorities",
        answered.len()
    );

    let patch = json!(empty).to_string();
    let configuration = "validatingwebhookconfiguration/taffrail";
    installed
        .cluster
        .done(&["patch", configuration, "--type=json", "-p", &patch], "");
    until("the caBundle is there again", async || {
        (!ca_bundle().is_empty()).then_some(())
    })
    .await;
}
