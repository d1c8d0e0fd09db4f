//! `policy netpol` over manifests, as people and programs use it.

use crate::start::taffrail;

const SHOP: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c}]}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: c, ports: [{name: pg, containerPort: 5432}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: pg}]
";

#[test]
fn connections_matrix_and_difference_are_told_with_their_exit_status() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let folder = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir(&path).expect("writes");
        std::fs::write(path.join("shop.yaml"), text).expect("writes");
        path.to_str().expect("UTF-8").to_owned()
    };
    let before = folder("before", SHOP);
    let after = folder(
        "after",
        &SHOP.replace(
            "from: [{podSelector: {matchLabels: {app: web}}}]",
            "from: []",
        ),
    );
    let broken = folder("broken", &SHOP.replace("port: pg", "port: 0"));
    let (web, db) = ("shop/web", "shop/db");
    let by_rule = "allowed by NetworkPolicy shop/db at spec.ingress[0].from[0]";
    for (arguments, status, expected) in [
        (
            vec![&*before, "--from", web, "--to", db, "--port", "5432"],
            0,
            by_rule,
        ),
        (
            vec![&before, "--from", web, "--to", db, "--port", "pg"],
            0,
            by_rule,
        ),
        (
            vec![&before, "--from", web, "--to", db],
            0,
            "shop/statefulset/db on TCP 5432",
        ),
        (
            vec![&before, "--from", web, "--to", db, "--port", "80"],
            1,
            "isolated by shop/db",
        ),
        (
            vec![&before, "--from", "internet", "--to", db, "-o", "json"],
            1,
            "\"isolatedBy\"",
        ),
        (vec![&before], 0, "shop/statefulset/db  shop/deployment/web"),
        (vec![&before, "--to", db, "--port", "5432"], 0, "denied"),
        (
            vec![&after, "--before", &before],
            1,
            "opened every address -> shop/statefulset/db on TCP 5432",
        ),
        (
            vec![&after, "--before", &before, "--from", web],
            0,
            "nothing is different",
        ),
        (
            vec![&before, "--before", &before],
            0,
            "nothing is different",
        ),
        (
            vec![&broken],
            2,
            "shop.yaml: document 4: NetworkPolicy db: spec.ingress[0].ports[0].port: must be a port",
        ),
        (
            vec![&before, "--from", "shop/nobody"],
            2,
            "no pod or workload \"nobody\" in namespace \"shop\"",
        ),
        (
            vec![&before, "--from", web, "--to", db, "--port", "x"],
            2,
            "gives no TCP port the name x",
        ),
    ] {
        let all: Vec<&str> = ["policy", "netpol"].into_iter().chain(arguments).collect();
        let output = taffrail(&all);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).expect("UTF-8");
        assert_eq!(output.status.code(), Some(status), "{all:?}: {text}");
        assert!(text.contains(expected), "{all:?}: {text}");
    }
}
