//! Which updates of a pod are worth judging.
//!
//! Little of a running pod can be changed, and of that only images and ephemeral containers
//! bear on security. Judging every update would refuse the kubelet's and the controllers'
//! (labels, finalizers) wherever a policy was tightened after the pod began to run.

use serde_json::Value;

/// Whether an update changes what a pod runs.
pub fn changes_what_runs(object: &Value, old_object: &Value) -> bool {
    containers_changed(object, old_object, "containers")
        || containers_changed(object, old_object, "initContainers")
        || ephemeral_containers_changed(object, old_object)
}

fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object
        .get("spec")
        .and_then(|spec| spec.get(field))
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'a>(container: &'a Value, field: &str) -> &'a str {
    container
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn containers_changed(object: &Value, old_object: &Value, field: &str) -> bool {
    let (new, old) = (list(object, field), list(old_object, field));
    new.len() != old.len()
        || new
            .iter()
            .zip(old)
            .any(|(new, old)| text(new, "image") != text(old, "image"))
}

/// They are matched by name: one may be added, none taken away.
fn ephemeral_containers_changed(object: &Value, old_object: &Value) -> bool {
    let old = list(old_object, "ephemeralContainers");
    list(object, "ephemeralContainers").iter().any(|new| {
        old.iter()
            .find(|old| text(old, "name") == text(new, "name"))
            .is_none_or(|old| text(old, "image") != text(new, "image"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(new: &Value, old: &Value, changes: bool) {
        let pod = |spec: &Value| json!({"metadata": {"labels": {"a": "b"}}, "spec": spec});
        assert_eq!(
            changes_what_runs(&pod(new), &pod(old)),
            changes,
            "{new} {old}"
        );
    }

    #[test]
    fn images_and_containers_matter_and_the_rest_does_not() {
        let one = json!({"containers": [{"name": "a", "image": "x"}]});
        check(&one, &one, false);
        check(
            &json!({"containers": [{"name": "a", "image": "x", "stdin": true}], "tolerations": []}),
            &one,
            false,
        );
        check(
            &json!({"containers": [{"name": "a", "image": "y"}]}),
            &one,
            true,
        );
        check(&json!({"containers": []}), &one, true);
        check(
            &json!({"containers": [{"name": "a", "image": "x"}], "initContainers": [{"image": "i"}]}),
            &one,
            true,
        );
    }

    #[test]
    fn ephemeral_containers_are_matched_by_name() {
        let with = |containers: Value| json!({ "ephemeralContainers": containers });
        let a = json!({"name": "a", "image": "x"});
        let b = json!({"name": "b", "image": "x"});
        check(&with(json!([a])), &json!({}), true);
        check(&with(json!([b, a])), &with(json!([a, b])), false);
        check(&with(json!([a])), &with(json!([a, b])), false);
        check(
            &with(json!([{"name": "a", "image": "y"}])),
            &with(json!([a])),
            true,
        );
    }
}
