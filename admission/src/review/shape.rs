//! The fields of a pod that decide about security, with the API's names and types.
//!
//! They are read to be refused where they have another type; their values go to Rego, which is
//! why few of them are looked at here again. As in Go, null is the same as nothing.

#![allow(dead_code, reason = "reading a field is what checks its type")]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    annotations: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
    name: Option<String>,
    namespace: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSpec {
    containers: Option<Vec<Container>>,
    init_containers: Option<Vec<Container>>,
    ephemeral_containers: Option<Vec<Container>>,
    volumes: Option<Vec<Volume>>,
    security_context: Option<SecurityContext>,
    host_network: Option<bool>,
    #[serde(rename = "hostPID")]
    host_pid: Option<bool>,
    #[serde(rename = "hostIPC")]
    host_ipc: Option<bool>,
    host_users: Option<bool>,
    os: Option<Os>,
    pub(super) runtime_class_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Os {
    name: Option<String>,
}

/// A volume is its name and one member for its source, which is an object whatever it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    name: Option<String>,
    #[serde(flatten)]
    source: BTreeMap<String, Option<BTreeMap<String, Value>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: Option<String>,
    image: Option<String>,
    ports: Option<Vec<Port>>,
    security_context: Option<SecurityContext>,
    liveness_probe: Option<Handler>,
    readiness_probe: Option<Handler>,
    startup_probe: Option<Handler>,
    lifecycle: Option<Lifecycle>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    host_port: Option<i32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lifecycle {
    post_start: Option<Handler>,
    pre_stop: Option<Handler>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Handler {
    http_get: Option<Host>,
    tcp_socket: Option<Host>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Host {
    host: Option<String>,
}

/// A pod's and a container's: no field stands in both with different types.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecurityContext {
    privileged: Option<bool>,
    allow_privilege_escalation: Option<bool>,
    run_as_non_root: Option<bool>,
    run_as_user: Option<i64>,
    proc_mount: Option<String>,
    capabilities: Option<Capabilities>,
    seccomp_profile: Option<Profile>,
    app_armor_profile: Option<Profile>,
    se_linux_options: Option<SeLinuxOptions>,
    windows_options: Option<WindowsOptions>,
    sysctls: Option<Vec<Sysctl>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Capabilities {
    add: Option<Vec<String>>,
    drop: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    r#type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeLinuxOptions {
    r#type: Option<String>,
    user: Option<String>,
    role: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WindowsOptions {
    host_process: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sysctl {
    name: Option<String>,
}
