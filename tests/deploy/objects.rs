//! The files that are deployed, read as what they are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Where everything lives.
pub(crate) const NAMESPACE: &str = "taffrail";

/// `HOST:PORT` of every port of every Service.
pub(crate) fn addresses(objects: &[Value]) -> BTreeSet<String> {
    let services = objects.iter().filter(|object| object["kind"] == "Service");
    services
        .flat_map(|service| {
            let host = format!("{}.{NAMESPACE}.svc", text(service, "/metadata/name"));
            let ports = list(service, "/spec/ports").iter();
            ports.map(move |port| format!("{host}:{}", port["port"]))
        })
        .collect()
}

/// The value of `--name=VALUE` among a container's arguments.
pub(crate) fn flag(container: &Value, name: &str) -> Option<String> {
    let prefix = format!("--{name}=");
    let args = list(container, "/args").iter().filter_map(Value::as_str);
    args.filter_map(|arg| arg.strip_prefix(&prefix))
        .map(str::to_owned)
        .next()
}

pub(crate) fn workloads(objects: &[Value]) -> impl Iterator<Item = &Value> {
    objects
        .iter()
        .filter(|object| !object["spec"]["template"].is_null())
}

pub(crate) fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects
        .iter()
        .find(|object| object["kind"] == kind && text(object, "/metadata/name") == name);
    found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(crate) fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn manifests() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(root("deploy/manifests"))
        .expect("a folder of manifests")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    paths
}

/// Every object of every manifest, in order.
pub(crate) fn objects() -> Vec<Value> {
    manifests()
        .iter()
        .flat_map(|path| documents(path))
        .collect()
}

pub(crate) fn yaml(path: &str) -> Vec<Value> {
    documents(&root(path))
}

pub(crate) fn documents(path: &Path) -> Vec<Value> {
    use serde::Deserialize as _;
    serde_yaml_ng::Deserializer::from_str(&read(path))
        .map(|document| {
            Value::deserialize(document)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .collect()
}
