//! A real API server asks the real webhook, and people ask the API server.
//!
//! `deploy/testcluster` runs etcd and kube-apiserver. Our manifests are applied to it as they are. What a cluster's
//! other half would do with them the tests do: start the program that the Deployment names, with the ConfigMap's
//! configuration and the ServiceAccount's rights, and carry connections from the Service's address to
//! the replicas that are ready. So certificate, names, rights, rules and conditions are those that
//! users get.
//!
//! - `api_server`: the cluster, as kubectl and as programs ask it
//! - `service`: what kube-proxy and the readiness probe do
//! - `install`: the manifests, and the webhook they describe
//! - `creates`: Pods created all the time
//! - `generator`: random Pods and what makes Pods
//! - the rest: what must then be true
//!
//! They take the built test cluster and the right to listen on port 443 of loopback, so they are run by name, as
//! `.ci/run` does: `cargo test --test end_to_end cluster -- --ignored`.

mod api_server;
mod audited;
mod built_in;
mod creates;
mod definitions;
mod generator;
mod install;
mod killed;
mod objects;
mod policies;
mod rollout;
mod rotation;
mod seen;
mod service;
mod unreachable;
mod watched;
