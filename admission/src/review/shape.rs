//! The fields of a pod that decide about security, with the API's names and types.
//!
//! They are read to be refused where they have another type; their values go to Rego, which is
//! why few of them are looked at here again, and nothing is copied. As in Go, null is the same as nothing.

#![allow(dead_code, reason = "reading a field is what checks its type")]

use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata<'a> {
    #[serde(borrow)]
    annotations: Option<Members<&'a str>>,
    #[serde(borrow)]
    labels: Option<Members<&'a str>>,
    #[serde(borrow)]
    name: Option<&'a str>,
    #[serde(borrow)]
    namespace: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSpec<'a> {
    #[serde(borrow)]
    containers: Option<Vec<Container<'a>>>,
    #[serde(borrow)]
    init_containers: Option<Vec<Container<'a>>>,
    #[serde(borrow)]
    ephemeral_containers: Option<Vec<Container<'a>>>,
    volumes: Option<Vec<Volume>>,
    #[serde(borrow)]
    security_context: Option<SecurityContext<'a>>,
    host_network: Option<bool>,
    #[serde(rename = "hostPID")]
    host_pid: Option<bool>,
    #[serde(rename = "hostIPC")]
    host_ipc: Option<bool>,
    host_users: Option<bool>,
    #[serde(borrow)]
    os: Option<Os<'a>>,
    #[serde(borrow)]
    pub(super) runtime_class_name: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Os<'a> {
    #[serde(borrow)]
    name: Option<&'a str>,
}

/// A volume is its name and one member for its source, which is an object whatever it is.
struct Volume;

impl<'de> Deserialize<'de> for Volume {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Volume)
    }
}

impl<'de> Visitor<'de> for Volume {
    type Value = Volume;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a volume")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        while let Some(name) = members.next_key::<&str>()? {
            if name == "name" {
                members.next_value::<Option<&str>>()?;
            } else {
                members.next_value::<Option<Members<IgnoredAny>>>()?;
            }
        }
        Ok(self)
    }
}

/// An object whose members are all of one type.
struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        while members.next_entry::<IgnoredAny, T>()?.is_some() {}
        Ok(self)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container<'a> {
    #[serde(borrow)]
    name: Option<&'a str>,
    #[serde(borrow)]
    image: Option<&'a str>,
    ports: Option<Vec<Port>>,
    #[serde(borrow)]
    security_context: Option<SecurityContext<'a>>,
    #[serde(borrow)]
    liveness_probe: Option<Handler<'a>>,
    #[serde(borrow)]
    readiness_probe: Option<Handler<'a>>,
    #[serde(borrow)]
    startup_probe: Option<Handler<'a>>,
    #[serde(borrow)]
    lifecycle: Option<Lifecycle<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    host_port: Option<i32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lifecycle<'a> {
    #[serde(borrow)]
    post_start: Option<Handler<'a>>,
    #[serde(borrow)]
    pre_stop: Option<Handler<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Handler<'a> {
    #[serde(borrow)]
    http_get: Option<Host<'a>>,
    #[serde(borrow)]
    tcp_socket: Option<Host<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Host<'a> {
    #[serde(borrow)]
    host: Option<&'a str>,
}

/// A pod's and a container's: no field stands in both with different types.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecurityContext<'a> {
    privileged: Option<bool>,
    allow_privilege_escalation: Option<bool>,
    run_as_non_root: Option<bool>,
    run_as_user: Option<i64>,
    #[serde(borrow)]
    proc_mount: Option<&'a str>,
    #[serde(borrow)]
    capabilities: Option<Capabilities<'a>>,
    #[serde(borrow)]
    seccomp_profile: Option<Profile<'a>>,
    #[serde(borrow)]
    app_armor_profile: Option<Profile<'a>>,
    #[serde(borrow)]
    se_linux_options: Option<SeLinuxOptions<'a>>,
    windows_options: Option<WindowsOptions>,
    #[serde(borrow)]
    sysctls: Option<Vec<Sysctl<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Capabilities<'a> {
    #[serde(borrow)]
    add: Option<Vec<&'a str>>,
    #[serde(borrow)]
    drop: Option<Vec<&'a str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile<'a> {
    #[serde(borrow)]
    r#type: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeLinuxOptions<'a> {
    #[serde(borrow)]
    r#type: Option<&'a str>,
    #[serde(borrow)]
    user: Option<&'a str>,
    #[serde(borrow)]
    role: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WindowsOptions {
    host_process: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sysctl<'a> {
    #[serde(borrow)]
    name: Option<&'a str>,
}
