//! The configuration as others may see it: without secrets.
//!
//! Whoever may query may read `status/config`, and need not know the passwords that stand in the file. So
//! it is shown as it was understood and not as it was written: a comment could hold anything.

use serde_yaml_ng::Value;

/// What stands in place of a secret, as upstream has it.
const SECRET: &str = "<secret>";
/// The same within a URL.
const SECRET_IN_URL: &str = "xxxxx";

/// Keys whose values are secret, whatever they are below.
const KEYS: [&str; 4] = ["password", "bearer_token", "key", "basic_auth_users"];

/// A configuration that was checked, without comments and secrets.
pub(crate) fn shown(text: &str) -> String {
    let Ok(mut value) = serde_yaml_ng::from_str::<Value>(text) else {
        return String::new();
    };
    if value.is_null() {
        return String::new();
    }
    clear(&mut value);
    serde_yaml_ng::to_string(&value).unwrap_or_default()
}

/// A URL without its password; any other text as it is.
pub(crate) fn shown_url(text: &str) -> String {
    if let Ok(mut url) = reqwest::Url::parse(text)
        && url.password().is_some()
        && url.set_password(Some(SECRET_IN_URL)).is_ok()
    {
        return url.to_string();
    }
    text.to_owned()
}

fn clear(value: &mut Value) {
    match value {
        Value::Mapping(mapping) => {
            for (key, value) in mapping {
                if key.as_str().is_some_and(|key| KEYS.contains(&key)) {
                    hide(value);
                } else {
                    clear(value);
                }
            }
        }
        Value::Sequence(values) => values.iter_mut().for_each(clear),
        Value::Tagged(tagged) => clear(&mut tagged.value),
        Value::String(text) => *text = shown_url(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Hides the values of a mapping, which keeps its names, or all of anything else.
fn hide(value: &mut Value) {
    match value {
        Value::Mapping(mapping) => {
            for (_, value) in mapping {
                hide(value);
            }
        }
        Value::Null => {}
        _ => *value = Value::String(SECRET.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_comments_are_not_shown() {
        for (text, expected) in [
            ("", ""),
            ("# password: s3cret\n", ""),
            ("data: /x # s3cret\n", "data: /x\n"),
            (
                "basic_auth: {username: me, password: s3cret}\n",
                "basic_auth:\n  username: me\n  password: <secret>\n",
            ),
            (
                "a:\n- bearer_token: |\n    s3cret\n- bearer_token_file: f\n",
                "a:\n- bearer_token: <secret>\n- bearer_token_file: f\n",
            ),
            (
                "web:\n  basic_auth_users:\n    me: s3cret\n",
                "web:\n  basic_auth_users:\n    me: <secret>\n",
            ),
            (
                "targets: ['http://me:s3cret@host/path', 'http://host/']\n",
                "targets:\n- http://me:xxxxx@host/path\n- http://host/\n",
            ),
            ("key: [s3cret]\n", "key: <secret>\n"),
        ] {
            let found = shown(text);
            assert_eq!(found, expected, "{text}");
            assert!(!found.contains("s3cret"), "{found}");
        }
    }
}
