//! Builtins over networks that regorus lacks, or answers without a bound.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use regorus::Value;

use super::{Builtin, ITEMS_MAX, arguments, elements, text};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "net.cidr_intersects",
        arity: 2,
        run: intersects,
    },
    Builtin {
        name: "net.cidr_is_valid",
        arity: 1,
        run: is_valid,
    },
    Builtin {
        name: "net.cidr_overlap",
        arity: 2,
        run: contains,
    },
    Builtin {
        name: "net.cidr_contains",
        arity: 2,
        run: contains,
    },
    Builtin {
        name: "net.cidr_contains_matches",
        arity: 2,
        run: contains_matches,
    },
    Builtin {
        name: "net.cidr_merge",
        arity: 1,
        run: merge,
    },
    Builtin {
        name: "net.cidr_expand",
        arity: 1,
        run: expand,
    },
];

fn network(value: &Value) -> Result<IpNet, String> {
    let text = text(value)?;
    text.parse::<IpNet>()
        .map(|network| network.trunc())
        .map_err(|_| format!("{text:?} is no network"))
}

/// A network, or an address as a network of one.
fn network_or_address(value: &Value) -> Result<IpNet, String> {
    match text(value)?.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => network(value),
    }
}

/// What is no text is no network either.
fn is_valid(given: &[Value]) -> Result<Value, String> {
    let [of] = arguments(given)?;
    Ok(Value::from(network(of).is_ok()))
}

fn intersects(given: &[Value]) -> Result<Value, String> {
    let [a, b] = arguments(given)?;
    let (a, b) = (network(a)?, network(b)?);
    Ok(Value::from(a.contains(&b) || b.contains(&a)))
}

fn contains(given: &[Value]) -> Result<Value, String> {
    let [of, what] = arguments(given)?;
    Ok(Value::from(
        network(of)?.contains(&network_or_address(what)?),
    ))
}

/// Pairs of what contains and what is contained: positions in arrays, keys of objects, members of
/// sets, or a string itself.
fn contains_matches(given: &[Value]) -> Result<Value, String> {
    let [of, what] = arguments(given)?;
    let of = keyed(of)?;
    let what = keyed(what)?;
    if of.len().saturating_mul(what.len()) > ITEMS_MAX {
        return Err(format!("more than {ITEMS_MAX} pairs"));
    }
    let mut pairs = BTreeSet::new();
    for (of_key, of) in &of {
        let of = network(of)?;
        for (what_key, what) in &what {
            if of.contains(&network_or_address(what)?) {
                pairs.insert(Value::from(vec![of_key.clone(), what_key.clone()]));
            }
        }
    }
    Ok(Value::from(pairs))
}

/// What stands at each key; of an array that stands for it, its first element.
fn keyed(value: &Value) -> Result<Vec<(Value, Value)>, String> {
    let first = |value: &Value| match value {
        Value::Array(items) => items.iter().next().cloned().unwrap_or(Value::Null),
        other => other.clone(),
    };
    match value {
        Value::String(_) => Ok(vec![(value.clone(), value.clone())]),
        Value::Array(items) => Ok(items
            .iter()
            .enumerate()
            .map(|(i, item)| (Value::from(i as u64), first(item)))
            .collect()),
        Value::Set(items) => Ok(items
            .iter()
            .map(|item| (item.clone(), first(item)))
            .collect()),
        Value::Object(members) => Ok(members
            .iter()
            .map(|(key, item)| (key.clone(), first(item)))
            .collect()),
        _ => Err("expected networks".to_string()),
    }
}

fn merge(given: &[Value]) -> Result<Value, String> {
    let [networks] = arguments(given)?;
    let mut v4 = Vec::new();
    let mut v6 = Vec::new();
    for item in elements(networks)? {
        match network_or_address(item)? {
            IpNet::V4(network) => v4.push(network),
            IpNet::V6(network) => v6.push(network),
        }
    }
    let merged: BTreeSet<_> = Ipv4Net::aggregate(&v4)
        .into_iter()
        .map(|network| network.to_string())
        .chain(
            Ipv6Net::aggregate(&v6)
                .into_iter()
                .map(|network| network.to_string()),
        )
        .map(Value::from)
        .collect();
    Ok(Value::from(merged))
}

fn expand(given: &[Value]) -> Result<Value, String> {
    let [of] = arguments(given)?;
    let of = network(of)?;
    let bits = of.max_prefix_len() - of.prefix_len();
    if bits > 16 {
        return Err(format!("{of} has more than 65536 addresses"));
    }
    let addresses = |first: u128, make: &dyn Fn(u128) -> IpAddr| {
        (first..first + (1_u128 << bits))
            .map(|address| Value::from(make(address).to_string()))
            .collect::<BTreeSet<_>>()
    };
    Ok(Value::from(match of {
        IpNet::V4(of) => addresses(u128::from(u32::from(of.network())), &|address| {
            IpAddr::V4(std::net::Ipv4Addr::from(
                u32::try_from(address).unwrap_or(u32::MAX),
            ))
        }),
        IpNet::V6(of) => addresses(u128::from(of.network()), &|address| {
            IpAddr::V6(std::net::Ipv6Addr::from(address))
        }),
    }))
}
