//! Label selectors, CIDRs, and the names of ports.

use ipnet::IpNet;

use super::{Field, Read};
use crate::network_policy::selector::{Operator, Requirement, Selector};

/// A label selector; empty where it is absent, which each caller takes as it must.
pub(super) fn selector(field: &Field<'_>) -> Read<Selector> {
    field.only(&["matchLabels", "matchExpressions"])?;
    let mut requirements = Vec::new();
    let labels = field.member("matchLabels")?;
    for (key, value) in labels.object()?.into_iter().flatten() {
        let Some(value) = value.as_str() else {
            return labels.wrong(format!("the value of {key:?} must be a string"));
        };
        if key.is_empty() {
            return labels.wrong("a label's name must not be empty");
        }
        requirements.push(Requirement {
            key: key.clone(),
            operator: Operator::In(vec![value.to_string()]),
        });
    }
    for expression in field.member("matchExpressions")?.items()? {
        expression.only(&["key", "operator", "values"])?;
        let key = expression.member("key")?.required_text()?.to_string();
        let values_field = expression.member("values")?;
        let mut values = Vec::new();
        for value in values_field.items()? {
            values.push(value.text()?.unwrap_or_default().to_string());
        }
        // Sorted, as they are looked up by halving.
        values.sort_unstable();
        let operator_field = expression.member("operator")?;
        let has_values = !values.is_empty();
        let needs_values = |operator: Operator| {
            if !has_values {
                return values_field.wrong("must hold a value where operator is In or NotIn");
            }
            Ok(operator)
        };
        let needs_none = |operator: Operator| {
            if has_values {
                return values_field
                    .wrong("must be empty where operator is Exists or DoesNotExist");
            }
            Ok(operator)
        };
        let operator = match operator_field.text()?.unwrap_or_default() {
            "In" => needs_values(Operator::In(values))?,
            "NotIn" => needs_values(Operator::NotIn(values))?,
            "Exists" => needs_none(Operator::Exists)?,
            "DoesNotExist" => needs_none(Operator::DoesNotExist)?,
            other => {
                return operator_field.wrong(format!(
                    "must be In, NotIn, Exists or DoesNotExist, not {other:?}"
                ));
            }
        };
        requirements.push(Requirement { key, operator });
    }
    field.at_most(requirements.len())?;
    Ok(Selector(requirements))
}

/// A CIDR. Bits below the mask are taken for zero, as Kubernetes takes them.
pub(super) fn cidr(field: &Field<'_>) -> Read<IpNet> {
    let text = field.required_text()?;
    match text.parse::<IpNet>() {
        Ok(net) => Ok(net.trunc()),
        Err(_) => field.wrong(format!(
            "must be a CIDR such as 192.168.1.0/24 or 2001:db8::/64, not {text:?}"
        )),
    }
}

/// The name of a port: 1 to 15 of a-z, 0-9 and -, with a letter among them.
pub(super) fn port_name(field: &Field<'_>, name: &str) -> Read<()> {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let valid = (1..=15).contains(&name.len())
        && name.bytes().all(known)
        && name.bytes().any(|byte| byte.is_ascii_lowercase())
        && !name.contains("--")
        && !name.starts_with('-')
        && !name.ends_with('-');
    if valid {
        return Ok(());
    }
    field.wrong(format!(
        "must be a port's number, or its name: at most 15 of a-z, 0-9 and -, a letter among \
         them; {name:?} is neither"
    ))
}
