//! Which object it is, and the objects that are not policies.
//!
//! A maker of pods stands for one pod of its template, named after it as `deployment/web`: that
//! is what can be known of it before it runs.

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;

use super::cluster_network_policy::cluster_network_policy;
use super::network_policy::network_policy;
use super::{Field, ITEMS_MAX, Malformed, Read};
use crate::network_policy::pod::{NamedPort, Network, Node, Pod};
use crate::network_policy::policy::{Policy, PolicyName};
use crate::network_policy::port::Protocol;
use crate::network_policy::selector::Labels;
use crate::network_policy::world::Change;

/// An object that matters to who may reach whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A Pod, or a maker of pods.
    Pod(Pod),
    /// A Namespace.
    Namespace {
        /// Its name.
        name: Arc<str>,
        /// Its labels.
        labels: Labels,
    },
    /// A Node.
    Node(Node),
    /// A NetworkPolicy or a ClusterNetworkPolicy.
    Policy(Policy),
    /// A pod that has ended; it has no network any more.
    Ended {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
}

/// Reads an object; None where its kind does not matter here. `namespace` is where it is
/// applied, if it does not say so itself.
pub fn object(value: &Value, namespace: &str) -> Result<Option<Object>, Malformed> {
    let items_left = Cell::new(ITEMS_MAX);
    let root = Field::root(value, &items_left);
    let api_version = root.member("apiVersion")?.text()?.unwrap_or_default();
    let kind_field = root.member("kind")?;
    let kind = kind_field.text()?.unwrap_or_default();
    let metadata = root.member("metadata")?;
    let named = || metadata.member("name")?.required_text();
    let place = || {
        let said = metadata.member("namespace")?.text()?;
        Ok::<_, Malformed>(said.filter(|said| !said.is_empty()).unwrap_or(namespace))
    };
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    Ok(Some(match (group, kind) {
        ("networking.k8s.io", "NetworkPolicy") => {
            Object::Policy(network_policy(&root, place()?, named()?)?)
        }
        ("policy.networking.k8s.io", "ClusterNetworkPolicy") => {
            let version = root.member("apiVersion")?;
            if api_version != "policy.networking.k8s.io/v1alpha2" {
                return version.wrong(format!(
                    "must be policy.networking.k8s.io/v1alpha2 to be judged, not {api_version}"
                ));
            }
            Object::Policy(cluster_network_policy(&root, named()?)?)
        }
        ("policy.networking.k8s.io", "AdminNetworkPolicy" | "BaselineAdminNetworkPolicy") => {
            return kind_field.wrong(format!(
                "{kind} is not judged: write it as a ClusterNetworkPolicy of v1alpha2"
            ));
        }
        ("", "Namespace") => Object::Namespace {
            name: named()?.into(),
            labels: labels(&metadata)?,
        },
        ("", "Node") => Object::Node(node(&root, named()?)?),
        ("", "Pod") => {
            // A pod that is being made by a controller has no name yet.
            let (name, generated) = (metadata.member("name")?, metadata.member("generateName")?);
            let name = match (name.text()?.unwrap_or_default(), generated.text()?) {
                ("", Some(generated)) => generated,
                (name, _) => name,
            };
            if name.is_empty() {
                return metadata.member("name")?.wrong("is required");
            }
            pod(&root, &metadata, place()?, name)?
        }
        ("" | "apps" | "batch", _) => {
            let Some(template) = template(group, kind, &root)? else {
                return Ok(None);
            };
            let name = format!("{}/{}", kind.to_ascii_lowercase(), named()?);
            pod(&template, &template.member("metadata")?, place()?, &name)?
        }
        _ => return Ok(None),
    }))
}

/// That an object is gone; None where its kind does not matter here. Only its name is read: what is stored may say what nobody
/// here can judge, as of a newer version, and must be removable all the same.
pub(in crate::network_policy) fn gone(value: &Value, namespace: &str) -> Read<Option<Change>> {
    let items_left = Cell::new(ITEMS_MAX);
    let root = Field::root(value, &items_left);
    let api_version = root.member("apiVersion")?.text()?.unwrap_or_default();
    let kind = root.member("kind")?.text()?.unwrap_or_default();
    let metadata = root.member("metadata")?;
    let name = || metadata.member("name")?.required_text();
    let said = metadata.member("namespace")?.text()?;
    let namespace = said.filter(|said| !said.is_empty()).unwrap_or(namespace);
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    Ok(Some(match (group, kind) {
        ("networking.k8s.io", "NetworkPolicy") => Change::PolicyGone(PolicyName::NetworkPolicy {
            namespace: namespace.into(),
            name: name()?.into(),
        }),
        ("policy.networking.k8s.io", "ClusterNetworkPolicy") => {
            Change::PolicyGone(PolicyName::ClusterNetworkPolicy {
                name: name()?.into(),
            })
        }
        ("", "Namespace") => Change::NamespaceGone(name()?.into()),
        ("", "Node") => Change::NodeGone(name()?.into()),
        ("", "Pod") => Change::PodGone {
            namespace: namespace.into(),
            name: name()?.into(),
        },
        ("" | "apps" | "batch", _) if makes_pods(group, kind) => Change::PodGone {
            namespace: namespace.into(),
            name: format!("{}/{}", kind.to_ascii_lowercase(), name()?).into(),
        },
        _ => return Ok(None),
    }))
}

fn makes_pods(group: &str, kind: &str) -> bool {
    let empty = Value::Null;
    let items_left = Cell::new(0);
    template(group, kind, &Field::root(&empty, &items_left)).is_ok_and(|found| found.is_some())
}

/// The template of a kind that makes pods.
fn template<'a>(group: &str, kind: &str, root: &Field<'a>) -> Read<Option<Field<'a>>> {
    let spec = root.member("spec")?;
    Ok(match (group, kind) {
        ("apps", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet")
        | ("batch", "Job")
        | ("", "ReplicationController") => Some(spec.member("template")?),
        ("batch", "CronJob") => {
            let job = spec.member("jobTemplate")?.member("spec")?;
            Some(job.member("template")?)
        }
        _ => None,
    })
}

fn labels(metadata: &Field<'_>) -> Read<Labels> {
    let field = metadata.member("labels")?;
    let mut list = Vec::new();
    for (name, value) in field.object()?.into_iter().flatten() {
        match value {
            Value::String(value) => list.push((name.as_str(), value.as_str())),
            Value::Null => list.push((name.as_str(), "")),
            _ => return field.wrong(format!("the value of {name:?} must be a string")),
        }
    }
    Ok(list.into_iter().collect())
}

fn pod(root: &Field<'_>, metadata: &Field<'_>, namespace: &str, name: &str) -> Read<Object> {
    let (spec, status) = (root.member("spec")?, root.member("status")?);
    let phase = status.member("phase")?.text()?;
    if matches!(phase, Some("Succeeded" | "Failed")) {
        return Ok(Object::Ended {
            namespace: namespace.into(),
            name: name.into(),
        });
    }
    let mut ports = Vec::new();
    for container in spec.member("containers")?.items()? {
        container_ports(&container, &mut ports)?;
    }
    for container in spec.member("initContainers")?.items()? {
        // Init containers have ended when the pod is reached, but for sidecars.
        if container.member("restartPolicy")?.text()? == Some("Always") {
            container_ports(&container, &mut ports)?;
        }
    }
    ports.sort();
    ports.dedup();
    Ok(Object::Pod(Pod {
        namespace: namespace.into(),
        name: name.into(),
        labels: Arc::new(labels(metadata)?),
        ports: ports.into(),
        network: if spec.member("hostNetwork")?.truth()? {
            Network::Host
        } else {
            Network::Own
        },
        addresses: addresses(&status, "podIP", "podIPs")?,
        host_addresses: addresses(&status, "hostIP", "hostIPs")?,
    }))
}

fn container_ports(container: &Field<'_>, ports: &mut Vec<NamedPort>) -> Read<()> {
    for port in container.member("ports")?.items()? {
        let number_field = port.member("containerPort")?;
        let Some(number) = number_field.port()? else {
            return number_field.wrong("is required");
        };
        let protocol_field = port.member("protocol")?;
        let protocol = match protocol_field.text()?.map(str::parse) {
            None => Protocol::Tcp,
            Some(Ok(protocol)) => protocol,
            Some(Err(error)) => return protocol_field.wrong(format!("{error}")),
        };
        if let Some(name) = port.member("name")?.text()?.filter(|name| !name.is_empty()) {
            ports.push(NamedPort {
                name: name.into(),
                protocol,
                number,
            });
        }
    }
    Ok(())
}

/// The addresses of a status: one field for the first of them, and a list of all.
fn addresses(status: &Field<'_>, one: &str, many: &str) -> Read<Box<[IpAddr]>> {
    let mut fields = vec![status.member(one)?];
    for item in status.member(many)?.items()? {
        fields.push(item.member("ip")?);
    }
    let mut addresses = Vec::new();
    for field in fields {
        push_address(&field, &mut addresses)?;
    }
    Ok(addresses.into())
}

fn push_address(field: &Field<'_>, addresses: &mut Vec<IpAddr>) -> Read<()> {
    let Some(text) = field.text()?.filter(|text| !text.is_empty()) else {
        return Ok(());
    };
    let Ok(address) = text.parse() else {
        return field.wrong(format!("must be an address, not {text:?}"));
    };
    if !addresses.contains(&address) {
        addresses.push(address);
    }
    Ok(())
}

fn node(root: &Field<'_>, name: &str) -> Read<Node> {
    let mut addresses = Vec::new();
    for item in root.member("status")?.member("addresses")?.items()? {
        // The others are host names, which are no addresses.
        let kind = item.member("type")?.text()?;
        if matches!(kind, Some("InternalIP" | "ExternalIP")) {
            push_address(&item.member("address")?, &mut addresses)?;
        }
    }
    Ok(Node {
        name: name.into(),
        labels: labels(&root.member("metadata")?)?,
        addresses: addresses.into(),
    })
}
