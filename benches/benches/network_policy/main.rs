//! Who may reach whom, at 10,000 pods and 1,000 policies: what a change does, single connections,
//! and how long it takes to get there, in CPU time.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout
)] // criterion's macros, and a bench may assert and tell

#[path = "../admission/cpu.rs"]
mod cpu;
mod hard;
mod objects;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use admission::bundle::Bundle;
use admission::bundle::network::NetworkChange;
use admission::config::NetworkPolicyConfig;
use admission::network_policy::{Change, Endpoint, Protocol, World};
use cpu::CpuTime;
use criterion::{Criterion, criterion_group, criterion_main};
use objects::{app_policy, changes, default_deny, objects, pod, read, world};
use serde_json::{Value, json};

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let words = line.and_then(|line| line.split_whitespace().nth(1));
    words.and_then(|kib| kib.parse().ok()).expect("a number")
}

fn network_policy(c: &mut Criterion<CpuTime>) {
    let objects = objects();
    let before = resident_kib();
    let world = world(&objects);
    let policies = world.policies().count();
    println!(
        "{} pods, {policies} policies: {} KiB resident more",
        world.everyone().len(),
        resident_kib().saturating_sub(before)
    );
    // The first question works out the groups, which stay until a change.
    let _ = world.difference(Change::NamespaceGone("team-0".into()));
    println!(
        "and with groups: {} KiB",
        resident_kib().saturating_sub(before)
    );
    let mut group = c.benchmark_group("difference, 10,000 pods, 1,000 policies");
    group.sample_size(20);
    for (name, change) in changes() {
        let found = world.difference(change.clone());
        println!(
            "{name}: {} flows opened, {} closed",
            found.opened.len(),
            found.closed.len()
        );
        group.bench_function(name, |b| {
            b.iter(|| black_box(world.difference(change.clone())));
        });
    }
    println!("after all: {} KiB", resident_kib().saturating_sub(before));
    group.finish();

    let mut group = c.benchmark_group("10,000 pods, 1,000 policies");
    group.sample_size(20);
    let [from, to] = [(7, 4), (7, 3)].map(|(i, app)| {
        let found = world.find(&format!("team-{i}"), &format!("app-{app}-0"));
        Endpoint::Pod(*found.first().expect("a pod"))
    });
    group.bench_function("connection", |b| {
        b.iter(|| black_box(world.connectivity(&from, &to, Protocol::Tcp, 8080)));
    });
    group.bench_function("ports of a connection", |b| {
        b.iter(|| black_box(world.ports(&from, &to)));
    });
    let namespace = world.pods_of("team-7");
    group.bench_function("who reaches a namespace", |b| {
        b.iter(|| black_box(world.reaches(&namespace)));
    });
    let deny = Change::Is(read(&default_deny(7)));
    group.bench_function("a change taken in", |b| {
        let mut world = world.clone();
        b.iter(|| world.apply(deny.clone()));
    });
    group.bench_function("a pod taken in", |b| {
        let mut world = world.clone();
        let pods = ["server", "client"].map(|role| Change::Is(read(&pod(7, 3, 3, role))));
        b.iter(|| pods.clone().map(|change| world.apply(change)));
    });
    group.finish();
}

/// A change held against rules about the whole cluster, as the webhook does it: of a world that has changed since it was
/// last asked, and of one that has not.
fn reviews(c: &mut Criterion<CpuTime>) {
    let world = world(&objects());
    let bundle = Bundle::embedded().expect("the policies that come with the program");
    let rules: NetworkPolicyConfig = serde_json::from_value(json!({
        "refuse": ["world_open_ingress", "metadata_address"], "default_deny": ["ingress"], "separate": [["team-1", "team-2"]],
    }))
    .expect("a configuration");
    let mut group = c.benchmark_group("reviews, 10,000 pods, 1,000 policies");
    group.sample_size(20);
    let mut lets_in = app_policy(7, 3);
    lets_in["spec"]["ingress"][1]["from"][0]["namespaceSelector"]["matchLabels"]["tier"] =
        json!("apps");
    let mut made = pod(7, 3, 3, "server");
    made["metadata"]["name"] = json!("app-3-another");
    let null = Value::Null;
    let cases = [
        (
            "a policy that lets in others",
            "UPDATE",
            &lets_in,
            &app_policy(7, 3),
        ),
        ("a pod that is made", "CREATE", &made, &null),
    ];
    for (name, operation, object, old_object) in cases {
        let change = NetworkChange {
            operation,
            namespace: "team-7",
            object,
            old_object,
        };
        let review = |world: &Arc<World>| {
            let found = bundle.network_violations(
                Ok(Arc::clone(world)),
                change,
                &rules,
                Duration::from_mins(1),
            );
            black_box(found.expect("an answer"))
        };
        let known = Arc::new(world.clone());
        let _ = review(&known);
        group.bench_function(name, |b| b.iter(|| review(&known)));
        let moved = Change::Is(read(&pod(8, 3, 3, "client")));
        group.bench_function(format!("{name}, after a change"), |b| {
            b.iter(|| {
                let mut fresh = world.clone();
                fresh.apply(moved.clone());
                review(&Arc::new(fresh))
            });
        });
    }
    group.finish();
}

fn hard(c: &mut Criterion<CpuTime>) {
    for shape in hard::shapes() {
        let mut group = c.benchmark_group(format!("hard: {}", shape.name));
        group.sample_size(10);
        let before = resident_kib();
        let world = world(&shape.objects);
        println!(
            "{}: {} KiB resident more",
            shape.name,
            resident_kib().saturating_sub(before)
        );
        for (name, change) in shape.changes {
            let found = world.difference(change.clone());
            println!(
                "{name}: {} flows opened, {} closed",
                found.opened.len(),
                found.closed.len()
            );
            group.bench_function(name, |b| {
                b.iter(|| black_box(world.difference(change.clone())));
            });
        }
        group.bench_function("a pod taken in", |b| {
            let mut world = world.clone();
            let pods = ["server", "client"].map(|role| Change::Is(read(&hard::pod(0, 3, 3, role))));
            b.iter(|| pods.clone().map(|change| world.apply(change)));
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = network_policy, reviews, hard
}
criterion_main!(benches);
