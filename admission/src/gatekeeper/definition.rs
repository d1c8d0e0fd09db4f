//! The CustomResourceDefinition of a template's constraints, as Gatekeeper's controller would have it made.
//!
//! A template's schema may say less than an API server asks of one: there, what has no type must say that it takes
//! everything. So what is missing is added here, and nothing is taken away: what the API server then still
//! refuses is the template author's to mend, who reads it in the API server's own words. The schema is
//! looser than [`Schema`](super::schema::Schema) where it must be, never stricter, so that no constraint is lost that
//! would hold.
//!
//! Of `spec.match` the types of known members are told. Other members are kept, not dropped in silence: a
//! constraint that asks for less than everything in a way nobody here knows would judge everything.

use serde_json::{Map, Value, json};

use super::{constraint, template};

/// How deep a schema is looked at.
const DEPTH_MAX: usize = 64;

/// Says that members which are not named are kept.
const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";

/// Whether fields that a schema does not name are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unnamed {
    /// As in templates with `legacySchema`.
    Kept,
    /// Only where the schema says so.
    AsSaid,
}

/// The definition for the constraints of a template that is an object of the cluster, to be applied; None for
/// anything else. With its name.
pub(crate) fn of(template: &Value) -> Option<(String, Value)> {
    let text = |pointer| template.pointer(pointer).and_then(Value::as_str);
    let kind = text("/spec/crd/spec/names/kind")?;
    let legacy_default = template::is_legacy(text("/apiVersion")?)?;
    let owner = json!({
        "apiVersion": text("/apiVersion")?,
        "kind": text("/kind")?,
        "name": text("/metadata/name")?,
        "uid": text("/metadata/uid")?,
    });
    let plural = kind.to_ascii_lowercase();
    let name = format!("{plural}.{}", constraint::GROUP);
    let short = template.pointer("/spec/crd/spec/names/shortNames");
    let short = short.filter(|names| names.is_array());
    let names = json!({
        "kind": kind,
        "listKind": format!("{kind}List"),
        "plural": plural,
        "singular": plural,
        "shortNames": short.cloned().unwrap_or_else(|| json!([])),
        "categories": ["constraint", "constraints"],
    });
    let validation = template.pointer("/spec/crd/spec/validation");
    let schema = schema(&parameters(validation, legacy_default));
    let version = |name: &str, is_stored: bool| {
        json!({
            "name": name,
            "served": true,
            "storage": is_stored,
            "schema": {"openAPIV3Schema": schema},
            "subresources": {"status": {}},
            "additionalPrinterColumns": [
                {"name": "enforcement-action", "type": "string", "jsonPath": ".spec.enforcementAction"},
            ],
        })
    };
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/managed-by": "taffrail"},
            // Deleting the template deletes the kind, and with it the constraints.
            "ownerReferences": [owner],
        },
        "spec": {
            "group": constraint::GROUP,
            "scope": "Cluster",
            "names": names,
            "versions": [version("v1beta1", true), version("v1alpha1", false)],
        },
    });
    Some((name, definition))
}

/// The schema of a whole constraint.
fn schema(parameters: &Value) -> Value {
    let strings = json!({"type": "array", "items": {"type": "string"}});
    json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "enforcementAction": {
                        "type": "string",
                        "description": "What follows from a violation: deny (the default), warn, dryrun or scoped.",
                    },
                    "scopedEnforcementActions": {
                        "type": "array",
                        "description": "What follows from a violation, by who finds it.",
                        "items": {
                            "type": "object",
                            "properties": {
                                "action": {"type": "string"},
                                "enforcementPoints": {
                                    "type": "array",
                                    "items": {"type": "object", "properties": {"name": {"type": "string"}}},
                                },
                            },
                        },
                    },
                    "match": {
                        "type": "object",
                        "description": "Which objects are judged: those that pass everything named here.",
                        PRESERVE: true,
                        "properties": {
                            "kinds": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    PRESERVE: true,
                                    "properties": {"apiGroups": strings, "kinds": strings},
                                },
                            },
                            "scope": {"type": "string"},
                            "source": {"type": "string"},
                            "name": {"type": "string"},
                            "namespaces": strings,
                            "excludedNamespaces": strings,
                            "labelSelector": selector(),
                            "namespaceSelector": selector(),
                        },
                    },
                    "parameters": parameters,
                },
            },
            "status": {"type": "object", PRESERVE: true},
        },
    })
}

/// A label selector.
fn selector() -> Value {
    json!({
        "type": "object",
        PRESERVE: true,
        "properties": {
            "matchLabels": {"type": "object", "additionalProperties": {"type": "string"}},
            "matchExpressions": {
                "type": "array",
                "items": {
                    "type": "object",
                    PRESERVE: true,
                    "required": ["key", "operator"],
                    "properties": {
                        "key": {"type": "string"},
                        "operator": {"type": "string"},
                        "values": {"type": "array", "items": {"type": "string"}},
                    },
                },
            },
        },
    })
}

/// The schema of a constraint's parameters, from `spec.crd.spec.validation` of its template.
fn parameters(validation: Option<&Value>, legacy_default: bool) -> Value {
    let member = |name| validation.and_then(|validation| validation.get(name));
    let legacy = member("legacySchema").and_then(Value::as_bool);
    let unnamed = if legacy.unwrap_or(legacy_default) {
        Unnamed::Kept
    } else {
        Unnamed::AsSaid
    };
    match (member("openAPIV3Schema"), unnamed) {
        (Some(Value::Object(schema)), _) => {
            let mut schema = Value::Object(schema.clone());
            complete(&mut schema, unnamed, 0);
            schema
        }
        (_, Unnamed::Kept) => json!({PRESERVE: true}),
        (_, Unnamed::AsSaid) => json!({"type": "object"}),
    }
}

/// Adds what a schema must say and does not. What stands in `allOf`, `anyOf`, `oneOf` and `not` restricts values
/// and describes none: it must say nothing of this.
fn complete(schema: &mut Value, unnamed: Unnamed, depth: usize) {
    let Value::Object(members) = schema else {
        return;
    };
    if depth > DEPTH_MAX {
        return;
    }
    let has = |name: &str| members.get(name).is_some_and(|value| !value.is_null());
    let is_either = members.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true));
    let is_untyped = !has("type");
    let is = |kind: &str| members.get("type").is_some_and(|value| value == kind);
    let is_object =
        is("object") || is_untyped && (has("properties") || has("additionalProperties"));
    let is_array = is("array") || is_untyped && has("items");
    let is_open = is_untyped && !is_array || is_object && unnamed == Unnamed::Kept;
    // Where every name has a schema there is no other.
    let takes_all = is_open && !is_either && !has("additionalProperties");
    let lacks_items = is_array && unnamed == Unnamed::Kept && !has("items");
    if is_untyped && !is_either {
        let found = [(is_object, "object"), (is_array, "array")];
        if let Some((_, kind)) = found.iter().find(|(is_so, _)| *is_so) {
            members.insert("type".into(), (*kind).into());
        }
    }
    if takes_all {
        members.insert(PRESERVE.into(), true.into());
    }
    if lacks_items {
        members.insert("items".into(), json!({PRESERVE: true}));
    }
    for name in ["items", "additionalProperties"] {
        if let Some(schema) = members.get_mut(name) {
            complete(schema, unnamed, depth + 1);
        }
    }
    let properties = members.get_mut("properties").and_then(Value::as_object_mut);
    for schema in properties.into_iter().flat_map(Map::values_mut) {
        complete(schema, unnamed, depth + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(version: &str, validation: &Value) -> Value {
        json!({
            "apiVersion": format!("templates.gatekeeper.sh/{version}"),
            "kind": "ConstraintTemplate",
            "metadata": {"name": "k8slabels", "uid": "u"},
            "spec": {"crd": {"spec": {"names": {"kind": "K8sLabels"}, "validation": validation}}},
        })
    }

    fn parameters_of(version: &str, validation: &Value) -> Value {
        let (_, definition) = of(&template(version, validation)).unwrap();
        let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/parameters";
        definition.pointer(path).unwrap().clone()
    }

    #[test]
    fn a_kind_of_constraints_is_owned_by_its_template() {
        let mut named = template("v1", &Value::Null);
        named["spec"]["crd"]["spec"]["names"]["shortNames"] = json!(["kl"]);
        let (name, definition) = of(&named).unwrap();
        assert_eq!(name, "k8slabels.constraints.gatekeeper.sh");
        assert_eq!(definition["metadata"]["name"], name);
        let owner = json!([{"apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate",
                            "name": "k8slabels", "uid": "u"}]);
        assert_eq!(definition["metadata"]["ownerReferences"], owner);
        let names = json!({"kind": "K8sLabels", "listKind": "K8sLabelsList", "plural": "k8slabels",
                           "singular": "k8slabels", "shortNames": ["kl"],
                           "categories": ["constraint", "constraints"]});
        assert_eq!(definition["spec"]["names"], names);
        assert_eq!(definition["spec"]["scope"], "Cluster");
        let versions = definition["spec"]["versions"].as_array().unwrap();
        let of_version = |version: &Value| {
            let column = &version["additionalPrinterColumns"][0]["name"];
            (
                version["name"].clone(),
                version["storage"].clone(),
                column.clone(),
            )
        };
        let column = json!("enforcement-action");
        let expected = [
            (json!("v1beta1"), json!(true), column.clone()),
            (json!("v1alpha1"), json!(false), column),
        ];
        assert_eq!(
            versions.iter().map(of_version).collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn parameters_are_structural() {
        let typed = json!({"type": "object", "properties": {
            "word": {"type": "string"}, "list": {"type": "array", "items": {"type": "integer"}},
        }});
        let open_word = json!({"type": "object", PRESERVE: true, "properties": {
            "word": {"type": "string"}, "list": {"type": "array", "items": {"type": "integer"}},
        }});
        let untyped = json!({"properties": {"any": {}, "list": {"items": {}},
            "map": {"additionalProperties": {"description": "d"}},
            "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}}});
        let any = json!({PRESERVE: true});
        let completed = json!({"type": "object", PRESERVE: true, "properties": {"any": any,
            "list": {"type": "array", "items": any},
            "map": {"type": "object",
                    "additionalProperties": {"description": "d", PRESERVE: true}},
            "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}}});
        for (what, version, validation, expected) in [
            (
                "as it is",
                "v1",
                json!({"openAPIV3Schema": typed}),
                typed.clone(),
            ),
            (
                "legacy by version",
                "v1beta1",
                json!({"openAPIV3Schema": typed}),
                open_word.clone(),
            ),
            (
                "legacy as said",
                "v1",
                json!({"legacySchema": true, "openAPIV3Schema": typed}),
                open_word,
            ),
            (
                "not legacy as said",
                "v1beta1",
                json!({"legacySchema": false, "openAPIV3Schema": typed}),
                typed,
            ),
            (
                "without types",
                "v1",
                json!({"openAPIV3Schema": untyped}),
                completed,
            ),
            (
                "an array of anything",
                "v1beta1",
                json!({"openAPIV3Schema": {"type": "array"}}),
                json!({"type": "array", "items": any}),
            ),
            ("no schema", "v1", Value::Null, json!({"type": "object"})),
            (
                "no schema, null",
                "v1",
                json!({"openAPIV3Schema": null}),
                json!({"type": "object"}),
            ),
            ("no schema, legacy", "v1beta1", Value::Null, any.clone()),
        ] {
            assert_eq!(parameters_of(version, &validation), expected, "{what}");
        }
    }

    /// What is wrong with it is for the API server to say, and nothing here fails on it.
    #[test]
    fn a_broken_schema_is_left_to_the_api_server() {
        for schema in [
            json!({"type": "nonsense", "properties": {"a": 1}}),
            json!({"type": ["object"], "items": [{"type": "string"}]}),
            json!({"type": "object", "properties": []}),
        ] {
            let found = parameters_of("v1", &json!({"openAPIV3Schema": schema}));
            assert_eq!(found["type"], schema["type"]);
        }
        let mut deep = json!({"type": "object"});
        for _ in 0..500 {
            deep = json!({"type": "object", "properties": {"a": deep}});
        }
        parameters_of("v1beta1", &json!({"openAPIV3Schema": deep}));
    }

    #[test]
    fn what_is_no_object_of_the_cluster_has_no_definition() {
        let mut without_uid = template("v1", &Value::Null);
        without_uid["metadata"] = json!({"name": "k8slabels"});
        assert_eq!(of(&without_uid), None);
        assert_eq!(of(&template("v2", &Value::Null)), None);
        assert_eq!(of(&Value::Null), None);
    }
}
