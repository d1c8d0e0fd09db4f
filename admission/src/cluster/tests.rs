//! Informers against an API server that does what the test says.

pub(crate) mod fake;

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::sync::mpsc;

use super::watch::Watch;
use super::*;
use crate::evaluate::{NamespaceLabels, RunningPods};
use crate::network_policy::builtins::ClusterState;
use fake::Fake;

const PODS: &str = "/api/v1/pods";
const NAMESPACES: &str = "/api/v1/namespaces";
const POLICIES: &str = "/apis/networking.k8s.io/v1/networkpolicies";
const CLUSTER_POLICIES: &str = "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies";

/// No test waits for these.
pub(crate) const PAUSES: Pauses = Pauses {
    first: Duration::from_millis(1),
    longest: Duration::from_millis(5),
};

/// What a cache was told.
struct Told(mpsc::UnboundedSender<String>);

impl Keep for Told {
    fn apply(&self, key: &Key, object: Value) {
        let version = object["metadata"]["resourceVersion"].as_str().unwrap();
        let _ = self.0.send(format!("{} is {version}", key.name));
    }

    fn remove(&self, key: &Key) {
        let _ = self.0.send(format!("{} is gone", key.name));
    }

    fn retain(&self, listed: &HashSet<Key>) {
        let mut names: Vec<_> = listed.iter().map(|key| key.name.clone()).collect();
        names.sort();
        let _ = self.0.send(format!("only {}", names.join(" ")));
    }
}

struct Watching {
    told: mpsc::UnboundedReceiver<String>,
    status: Arc<watch::Status>,
    _stop: tokio_util::sync::DropGuard,
}

impl Watching {
    fn start(fake: &Fake, presence: Presence) -> Self {
        let (told, receiver) = mpsc::unbounded_channel();
        let client = kube::Client::try_from(fake.config()).unwrap();
        let status = watch::Status::new(
            "pods",
            Need::Readiness,
            &CacheMetrics::default(),
            Arc::default(),
        );
        let watch = Watch::all(resource("", "v1", "Pod"), presence, PAUSES);
        let stop = tokio_util::sync::CancellationToken::new();
        tokio::spawn(watch.run::<All>(client, Arc::new(Told(told)), status.clone(), stop.clone()));
        Watching {
            told: receiver,
            status,
            _stop: stop.drop_guard(),
        }
    }

    async fn expect(&mut self, expected: &[&str]) {
        for expected in expected {
            assert_eq!(self.told.recv().await.as_deref(), Some(*expected));
        }
    }
}

fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"},
           "spec": {"containers": [{"name": "c"}]}})
}

/// Waits for what another thread is about to do.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_mins(1);
    while !is_so() {
        assert!(Instant::now() < patience, "{what} did not come about");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_listed_is_watched_from_there_on() {
    let fake = Fake::start().await;
    fake.put(PODS, pod("a"));
    fake.put(PODS, pod("b"));
    let mut watching = Watching::start(&fake, Presence::Always);
    watching.expect(&["a is 1", "b is 2", "only a b"]).await;
    fake.put(PODS, pod("c"));
    fake.put(PODS, pod("a"));
    fake.delete(PODS, "shop", "b");
    watching.expect(&["c is 3", "a is 4", "b is gone"]).await;
    assert!(watching.status.is_synced());
}

#[tokio::test]
async fn a_list_comes_in_pages() {
    let fake = Fake::start().await;
    for i in 0..120 {
        fake.put(PODS, pod(&format!("p{i:03}")));
    }
    let mut watching = Watching::start(&fake, Presence::Always);
    for i in 0..120 {
        let expected = format!("p{i:03} is {}", i + 1);
        watching.expect(&[&expected]).await;
    }
    let requests = fake.requests();
    let pages = requests.iter().filter(|r| r.starts_with("list"));
    assert_eq!(
        pages.map(String::as_str).collect::<Vec<_>>(),
        [0, 50, 100].map(|from| format!("list {PODS} from {from}"))
    );
}

#[tokio::test]
async fn a_token_that_is_too_old_begins_the_list_anew() {
    let fake = Fake::start().await;
    for i in 0..51 {
        fake.put(PODS, pod(&format!("p{i:03}")));
    }
    fake.expire_after_pages(PODS, 1);
    let mut watching = Watching::start(&fake, Presence::Always);
    let mut told = 0;
    while !watching.told.recv().await.unwrap().starts_with("only") {
        told += 1;
    }
    assert_eq!(told, 50 + 51);
}

#[tokio::test]
async fn a_watch_that_breaks_is_taken_up_where_it_was() {
    let fake = Fake::start().await;
    fake.put(PODS, pod("a"));
    let mut watching = Watching::start(&fake, Presence::Always);
    watching.expect(&["a is 1", "only a"]).await;
    until("the watch", || fake.watching(PODS) == 1).await;
    fake.disconnect(PODS);
    fake.put(PODS, pod("b"));
    watching.expect(&["b is 2"]).await;
    let lists = fake.requests();
    assert_eq!(
        lists.iter().filter(|r| r.starts_with("list")).count(),
        1,
        "{lists:?}"
    );
}

#[tokio::test]
async fn a_bookmark_moves_the_watch_on_and_is_a_sign_of_life() {
    let fake = Fake::start().await;
    fake.put(PODS, pod("a"));
    let mut watching = Watching::start(&fake, Presence::Always);
    watching.expect(&["a is 1", "only a"]).await;
    until("the watch", || fake.watching(PODS) == 1).await;
    fake.put(NAMESPACES, json!({"metadata": {"name": "n"}}));
    fake.bookmark(PODS);
    // Told in order: when this is here, the bookmark was.
    fake.put(PODS, pod("b"));
    watching.expect(&["b is 3"]).await;
    fake.disconnect(PODS);
    until("another watch", || {
        fake.requests().contains(&format!("watch {PODS} from 3"))
    })
    .await;
}

#[tokio::test]
async fn what_was_missed_is_found_out_by_a_new_list() {
    let fake = Fake::start().await;
    fake.put(PODS, pod("a"));
    fake.put(PODS, pod("b"));
    let mut watching = Watching::start(&fake, Presence::Always);
    watching.expect(&["a is 1", "b is 2", "only a b"]).await;
    until("the watch", || fake.watching(PODS) == 1).await;
    fake.refuse(PODS, Some(StatusCode::SERVICE_UNAVAILABLE));
    fake.delete(PODS, "shop", "b");
    fake.put(PODS, pod("c"));
    fake.forget(PODS);
    fake.refuse(PODS, None);
    watching.expect(&["a is 1", "c is 4", "only a c"]).await;
    fake.put(PODS, pod("d"));
    watching.expect(&["d is 6"]).await;
}

#[tokio::test]
async fn a_kind_that_may_be_absent_is_waited_for() {
    let fake = Fake::start().await;
    fake.refuse(PODS, Some(StatusCode::NOT_FOUND));
    let mut watching = Watching::start(&fake, Presence::Optional);
    watching.expect(&["only "]).await;
    assert!(watching.status.is_synced());
    fake.refuse(PODS, None);
    fake.put(PODS, pod("a"));
    while watching.told.recv().await.unwrap() != "a is 1" {}
    watching.expect(&["only a"]).await;
    until("the watch", || fake.watching(PODS) == 1).await;
    // And when it goes again, so does everything of it.
    fake.refuse(PODS, Some(StatusCode::NOT_FOUND));
    watching.expect(&["only "]).await;
}

#[tokio::test]
async fn a_kind_that_must_be_there_is_not_empty_because_it_is_refused() {
    let fake = Fake::start().await;
    for refusal in [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN] {
        fake.refuse(PODS, Some(refusal));
        let mut watching = Watching::start(&fake, Presence::Always);
        until("a failure", || watching.status.failures() > 2).await;
        assert!(!watching.status.is_synced());
        assert!(watching.told.try_recv().is_err());
    }
}

async fn cluster(fake: &Fake) -> Cluster {
    let mut registry = Registry::default();
    let metrics = CacheMetrics::register(&mut registry);
    Cluster::start_at(fake.config(), metrics, PAUSES)
        .await
        .unwrap()
}

fn namespace(name: &str, level: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name,
           "labels": {"pod-security.kubernetes.io/enforce": level}}})
}

fn policy(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
           "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
}

/// The level of a namespace's label, asked for where a thread may block.
async fn level(cluster: &Arc<Cluster>, name: &'static str) -> Result<String, String> {
    let namespaces = cluster.namespaces.clone();
    let labels = tokio::task::spawn_blocking(move || namespaces.labels(name)).await;
    let labels = labels.unwrap().map_err(|error| error.to_string())?;
    Ok(labels["pod-security.kubernetes.io/enforce"].clone())
}

#[tokio::test]
async fn a_namespace_that_is_not_listed_yet_is_asked_for() {
    let fake = Fake::start().await;
    fake.put(NAMESPACES, namespace("shop", "baseline"));
    let cluster = Arc::new(cluster(&fake).await);
    until("the list", || cluster.caches().waiting().is_empty()).await;
    assert_eq!(level(&cluster, "shop").await.as_deref(), Ok("baseline"));
    let asked = fake.requests();
    assert!(!asked.iter().any(|r| r.starts_with("get")), "{asked:?}");
    assert_eq!(
        level(&cluster, "other").await.unwrap_err(),
        "failed to lookup namespace \"other\": not found"
    );
    // A watch that says nothing: the namespace is there all the same.
    fake.disconnect(NAMESPACES);
    fake.put(NAMESPACES, namespace("new", "restricted"));
    assert_eq!(level(&cluster, "new").await.as_deref(), Ok("restricted"));
    fake.refuse(NAMESPACES, Some(StatusCode::INTERNAL_SERVER_ERROR));
    assert!(level(&cluster, "newer").await.is_err());
    cluster.stop().await;
}

#[tokio::test]
async fn the_state_is_known_when_all_of_it_is_listed_and_can_be_read() {
    let fake = Fake::start().await;
    fake.refuse(POLICIES, Some(StatusCode::FORBIDDEN));
    fake.refuse(CLUSTER_POLICIES, Some(StatusCode::NOT_FOUND));
    fake.put(PODS, pod("a"));
    let cluster = cluster(&fake).await;
    until("all but the policies", || {
        cluster.caches().waiting() == ["networkpolicies"]
    })
    .await;
    let error = cluster.network.world().unwrap_err().to_string();
    assert!(
        error.ends_with("networkpolicies are not listed yet"),
        "{error}"
    );
    fake.put(POLICIES, policy("p", &json!({})));
    fake.refuse(POLICIES, None);
    until("the policies", || cluster.network.world().is_ok()).await;
    let names = |cluster: &Cluster| -> Vec<String> {
        let world = cluster.network.world().unwrap();
        let pods = world
            .everyone()
            .iter()
            .filter_map(|number| world.pod(number));
        let policies = world.policies().map(|policy| policy.name.to_string());
        pods.map(ToString::to_string).chain(policies).collect()
    };
    assert_eq!(names(&cluster), ["shop/a", "shop/p"]);

    fake.put(POLICIES, policy("q", &json!({"ingres": []})));
    until("a policy that cannot be read", || {
        cluster.network.world().is_err()
    })
    .await;
    let error = cluster.network.world().unwrap_err().to_string();
    assert!(
        error.contains("NetworkPolicy shop/q cannot be judged: "),
        "{error}"
    );
    fake.delete(POLICIES, "shop", "q");
    until("its end", || cluster.network.world().is_ok()).await;

    fake.delete(PODS, "shop", "a");
    fake.put(PODS, pod("b"));
    until("another pod", || names(&cluster) == ["shop/b", "shop/p"]).await;
    cluster.stop().await;
}

#[tokio::test]
async fn pods_that_are_alike_are_kept_once() {
    let pods = Pods::default();
    let of = |name: &str, image: &str| {
        json!({"kind": "Pod", "metadata": {"name": name, "namespace": "shop",
            "annotations": {"address": name, "container.apparmor.security.beta.kubernetes.io/c": "runtime/default"},
            "ownerReferences": [{"uid": "x"}, {"uid": "made", "controller": true}]},
            "spec": {"containers": [{"name": "c", "image": image}],
                "volumes": [{"name": format!("kube-api-access-{name}"), "projected": {"sources": []}}]}})
    };
    let key = |name: &str| Key {
        namespace: "shop".to_string(),
        name: name.to_string(),
    };
    for (name, image) in [("a", "i"), ("b", "i"), ("c", "j")] {
        pods.apply(&key(name), of(name, image));
    }
    let running = pods.running("shop");
    let names: Vec<_> = running.iter().map(|pod| pod.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(running[0].controller.as_deref(), Some("made"));
    assert!(Arc::ptr_eq(&running[0].pod, &running[1].pod));
    assert!(!Arc::ptr_eq(&running[0].pod, &running[2].pod));
    let kept: Value = serde_json::from_str(&running[0].pod).unwrap();
    assert_eq!(kept["spec"]["containers"][0]["image"], "i");
    assert_eq!(
        kept["metadata"]["annotations"].as_object().unwrap().len(),
        1
    );

    pods.remove(&key("a"));
    pods.retain(&HashSet::from([key("c")]));
    assert_eq!(pods.running("shop").len(), 1);
    pods.retain(&HashSet::new());
    assert!(pods.running("shop").is_empty());
}
