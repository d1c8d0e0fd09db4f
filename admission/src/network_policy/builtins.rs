//! The evaluator as builtins of Rego.
//!
//! | builtin | answer |
//! | --- | --- |
//! | `netpol.policy(change)` | how a policy that is made or changed reads: its rules, empty selectors, metadata addresses, what is open to the world; `{"malformed": {"path", "problem"}}` if it cannot be meant; null for other kinds |
//! | `netpol.connectivity(from, to)` | the ports on which an end reaches another, ends as on the command line |
//! | `netpol.connection(from, to, protocol, port)` | the verdict on one connection, with its reasons |
//! | `netpol.reaches(ends)` | who reaches some ends: flows of `from`, `to`, `ports` |
//! | `netpol.difference(change)` | what a change opens and closes: `{"opened": flows, "closed": flows}` |
//! | `netpol.opens(change, from, to)` | the flows a change opens from ends to ends, each with an example and its reasons |
//! | `netpol.default_deny(change)` | for the namespace of a change, before and after it: how many pods, and which directions a policy denies to all |
//!
//! A change is `{"object", "oldObject", "namespace"}` as an AdmissionReview has them; ends are
//! [`Ends`] or a text. Flows name [`NAMES_MAX`] pods at the most and say how many there are;
//! of flows there are [`FLOWS_MAX`] at the most.
//!
//! The world they are about is handed in for the length of an evaluation ([`with_world`]), by
//! way of the thread, because an engine's builtins are fixed when its policies are compiled. A
//! call outside of that is an error, never an empty cluster.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use regorus::{Engine, Value};
use serde_json::{Value as Json, json};

use super::connectivity::{Connectivity, Endpoint};
use super::decode::{Malformed, Object, gone, object};
use super::difference::{Applied, Flows};
use super::endpoint::EndpointError;
use super::ends::Ends;
use super::policy::Direction;
use super::port::{Protocol, UnknownProtocol};
use super::reach::Flow;
use super::region::PeerSet;
use super::review::reading;
use super::world::{Change, World};
use crate::rego::plan::{Function, NoAnswer};

/// How many pods a flow names.
const NAMES_MAX: usize = 100;

/// How many flows an answer holds.
const FLOWS_MAX: usize = 1000;

/// Where the state of the cluster comes from. It must answer from
/// memory; an evaluation asks once, and is about that state to its end.
pub trait ClusterState: Send + Sync + 'static {
    /// The state now. An error where it is not known: judged against less than there is, much would pass that
    /// must not.
    fn world(&self) -> Result<Arc<World>, StateUnknown>;
}

/// Why nobody knows the state of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the state of the cluster is not known: {0}")]
pub struct StateUnknown(pub String);

/// A cluster of which nothing is known, for rules about objects alone.
#[derive(Debug, Default)]
pub struct UnknownCluster(Arc<World>);

impl ClusterState for UnknownCluster {
    fn world(&self) -> Result<Arc<World>, StateUnknown> {
        Ok(self.0.clone())
    }
}

/// Why a builtin has no answer, which is an error of the evaluation.
#[derive(Debug, thiserror::Error)]
enum BuiltinError {
    #[error("the state of the cluster is not at hand")]
    NoWorld,
    #[error(transparent)]
    Unknown(#[from] StateUnknown),
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("{0}")]
    Endpoint(#[from] EndpointError),
    #[error("the protocol {0}")]
    Protocol(#[from] UnknownProtocol),
    #[error("an argument is missing")]
    Missing,
    #[error("the port must be from 1 to 65535")]
    Port,
    #[error("{what} cannot be read: {problem}")]
    Argument {
        what: &'static str,
        problem: serde_json::Error,
    },
}

/// The world of an evaluation, and the last change it was asked about.
struct Scope {
    world: Result<Arc<World>, StateUnknown>,
    applied: Option<(Json, Rc<Applied>)>,
}

thread_local! {
    static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// Runs an evaluation whose builtins are about `world`; where it is not known, whatever asks for it is an error.
pub fn with_world<R>(world: Result<Arc<World>, StateUnknown>, evaluate: impl FnOnce() -> R) -> R {
    /// Puts back what was there, also when the evaluation panics.
    struct Restore(Option<Scope>);
    impl Drop for Restore {
        fn drop(&mut self) {
            SCOPE.set(self.0.take());
        }
    }
    let scope = Scope {
        world,
        applied: None,
    };
    let _restore = Restore(SCOPE.replace(Some(scope)));
    evaluate()
}

fn world() -> Result<Arc<World>, BuiltinError> {
    SCOPE
        .with_borrow(|scope| scope.as_ref().map(|scope| scope.world.clone()))
        .ok_or(BuiltinError::NoWorld)?
        .map_err(BuiltinError::from)
}

/// A builtin of JSON values.
type Builtin = fn(&[Json]) -> Result<Json, BuiltinError>;

/// Each with the number of its arguments.
const BUILTINS: [(&str, u8, Builtin); 7] = [
    ("netpol.policy", 1, policy),
    ("netpol.connectivity", 2, connectivity),
    ("netpol.connection", 4, connection),
    ("netpol.reaches", 1, reaches),
    ("netpol.difference", 1, told_difference),
    ("netpol.opens", 3, opens),
    ("netpol.default_deny", 1, default_deny),
];

/// Adds the builtins to an engine, before policies are compiled.
pub fn register(engine: &mut Engine) {
    for (name, arity, builtin) in BUILTINS {
        let extension = move |arguments: Vec<Value>| Ok(call(builtin, &arguments)?);
        // Its only error is that the name is taken, which a second registration may be.
        let _ = engine.add_extension(name.to_string(), arity, Box::new(extension));
    }
}

/// How many arguments one of them takes.
pub(crate) fn arity(name: &str) -> Option<usize> {
    let (_, arity, _) = BUILTINS.into_iter().find(|(known, ..)| *known == name)?;
    Some(usize::from(arity))
}

/// One of them, as a plan calls it.
pub(crate) fn function(name: &str) -> Option<Function> {
    let (_, _, builtin) = BUILTINS.into_iter().find(|(known, ..)| *known == name)?;
    Some(Arc::new(move |arguments: &[Value]| {
        call(builtin, arguments).map_err(|_| NoAnswer)
    }))
}

fn call(builtin: Builtin, arguments: &[Value]) -> Result<Value, BuiltinError> {
    let json = |value: &Value| {
        serde_json::to_value(value).map_err(|problem| BuiltinError::Argument {
            what: "an argument",
            problem,
        })
    };
    let arguments: Vec<Json> = arguments.iter().map(json).collect::<Result<_, _>>()?;
    Ok(Value::from(builtin(&arguments)?))
}

fn argument(arguments: &[Json], at: usize) -> Result<&Json, BuiltinError> {
    arguments.get(at).ok_or(BuiltinError::Missing)
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}

fn policy(arguments: &[Json]) -> Result<Json, BuiltinError> {
    let change = argument(arguments, 0)?;
    let namespace = text(change.get("namespace").unwrap_or(&Json::Null));
    let stored = change.get("object").filter(|value| !value.is_null());
    let read = if let Some(value) = stored {
        object(value, namespace)
    } else {
        // Of what is gone only the name matters, but without it nobody knows what is gone.
        let old = change.get("oldObject").unwrap_or(&Json::Null);
        gone(old, namespace).map(|_| None)
    };
    Ok(match read {
        Ok(Some(Object::Policy(policy))) => reading(&policy),
        Ok(_) => Json::Null,
        Err(malformed) => {
            json!({"malformed": {"path": malformed.path, "problem": malformed.problem}})
        }
    })
}

fn connectivity(arguments: &[Json]) -> Result<Json, BuiltinError> {
    let world = world()?;
    let from = world.endpoint(text(argument(arguments, 0)?))?;
    let to = world.endpoint(text(argument(arguments, 1)?))?;
    Ok(json!(world.ports(&from, &to)))
}

fn connection(arguments: &[Json]) -> Result<Json, BuiltinError> {
    let world = world()?;
    let from = world.endpoint(text(argument(arguments, 0)?))?;
    let to = world.endpoint(text(argument(arguments, 1)?))?;
    let protocol: Protocol = text(argument(arguments, 2)?).parse()?;
    let port = argument(arguments, 3)?
        .as_u64()
        .and_then(|port| u16::try_from(port).ok());
    let port = port.filter(|port| *port > 0).ok_or(BuiltinError::Port)?;
    let connectivity = world.connectivity(&from, &to, protocol, port);
    Ok(told(&world, (&from, &to), (protocol, port), &connectivity))
}

fn told(
    world: &World,
    (from, to): (&Endpoint, &Endpoint),
    (protocol, port): (Protocol, u16),
    connectivity: &Connectivity,
) -> Json {
    json!({
        "from": world.name(from),
        "to": world.name(to),
        "protocol": protocol,
        "port": port,
        "verdict": if connectivity.is_allowed() { "allowed" } else { "denied" },
        "egress": connectivity.egress,
        "ingress": connectivity.ingress,
    })
}

fn ends(world: &World, value: &Json) -> Result<Ends, BuiltinError> {
    if let Some(text) = value.as_str() {
        return Ok(match world.endpoint(text)? {
            Endpoint::Addresses(set) => Ends {
                cidrs: set.nets().iter().map(ToString::to_string).collect(),
                ..Ends::default()
            },
            // A pod by its name is no set that others can join.
            Endpoint::Pod(_) | Endpoint::Domain(_) => {
                return Err(EndpointError::Form(text.to_string()).into());
            }
        });
    }
    let ends: Ends =
        serde_json::from_value(value.clone()).map_err(|problem| BuiltinError::Argument {
            what: "ends",
            problem,
        })?;
    ends.check()?;
    Ok(ends)
}

fn reaches(arguments: &[Json]) -> Result<Json, BuiltinError> {
    let world = world()?;
    let value = argument(arguments, 0)?;
    let named = value
        .as_str()
        .map(|text| world.endpoint(text))
        .transpose()?;
    let to = match named {
        Some(end) => world.peers(&end),
        None => ends(&world, value)?.of(&world)?,
    };
    Ok(flows(&world, &world.reaches(&to.pods)))
}

fn flows(world: &World, flows: &[Flow]) -> Json {
    let told = flows
        .iter()
        .take(FLOWS_MAX)
        .map(|flow| told_flow(world, flow));
    told.collect()
}

fn told_flow(world: &World, flow: &Flow) -> Json {
    let named = |peers: &PeerSet| {
        let some = PeerSet {
            pods: peers.pods.iter().take(NAMES_MAX).collect(),
            addresses: peers.addresses.clone(),
        };
        let mut told = json!(world.names(&some));
        if let Some(told) = told.as_object_mut() {
            told.insert("podsCount".to_string(), json!(peers.pods.len()));
        }
        told
    };
    json!({
        "from": named(&flow.from),
        "to": named(&flow.to),
        "ports": flow.ports,
        "on": flow.ports.to_string(),
    })
}

/// The change; None where it is of a kind that does not matter.
fn read_change(change: &Json) -> Result<Option<Change>, BuiltinError> {
    let namespace = text(change.get("namespace").unwrap_or(&Json::Null));
    let member = |name: &str| change.get(name).filter(|value| !value.is_null());
    if let Some(value) = member("object") {
        return Ok(object(value, namespace)?.map(Change::Is));
    }
    let old = member("oldObject").map(|value| gone(value, namespace));
    Ok(old.transpose()?.flatten())
}

fn applied(change: &Json) -> Result<Option<Rc<Applied>>, BuiltinError> {
    let known = SCOPE.with_borrow(|scope| {
        let (of, known) = scope.as_ref()?.applied.as_ref()?;
        (of == change).then(|| known.clone())
    });
    if known.is_some() {
        return Ok(known);
    }
    let Some(meant) = read_change(change)? else {
        return Ok(None);
    };
    let applied = Rc::new(world()?.applied([meant]));
    SCOPE.with_borrow_mut(|scope| {
        if let Some(scope) = scope {
            scope.applied = Some((change.clone(), applied.clone()));
        }
    });
    Ok(Some(applied))
}

fn told_difference(arguments: &[Json]) -> Result<Json, BuiltinError> {
    let Some(applied) = applied(argument(arguments, 0)?)? else {
        return Ok(json!({"opened": [], "closed": []}));
    };
    let Flows { opened, closed } = applied.flows();
    Ok(json!({
        "opened": flows(&applied.after, &opened),
        "closed": flows(&applied.before, &closed),
    }))
}

fn opens(arguments: &[Json]) -> Result<Json, BuiltinError> {
    let Some(applied) = applied(argument(arguments, 0)?)? else {
        return Ok(json!([]));
    };
    let world = &applied.after;
    let (from, to) = (
        ends(world, argument(arguments, 1)?)?,
        ends(world, argument(arguments, 2)?)?,
    );
    let mut list = Vec::new();
    for opened in applied.opens(&from, &to)?.iter().take(FLOWS_MAX) {
        let mut flow = told_flow(world, &opened.flow);
        let example = &opened.example;
        let told = told(
            world,
            (&example.from, &example.to),
            example.port,
            &example.connectivity,
        );
        if let Some(flow) = flow.as_object_mut() {
            flow.insert("example".to_string(), told);
        }
        list.push(flow);
    }
    Ok(Json::Array(list))
}

fn default_deny(arguments: &[Json]) -> Result<Json, BuiltinError> {
    let change = argument(arguments, 0)?;
    let Some(namespace) = read_change(change)?.and_then(namespace_of) else {
        return Ok(Json::Null);
    };
    let Some(applied) = applied(change)? else {
        return Ok(Json::Null);
    };
    let denied = |world: &World, direction| {
        let mut policies = world
            .policies()
            .filter(|p| p.name.namespace() == Some(&namespace));
        policies.any(|policy| {
            policy.subject.pods.is_empty() && policy.rules(direction).is_some_and(<[_]>::is_empty)
        })
    };
    let told = |world: &World| {
        json!({
            "pods": world.pods_of(&namespace).len(),
            "ingress": denied(world, Direction::Ingress),
            "egress": denied(world, Direction::Egress),
        })
    };
    Ok(json!({
        "namespace": &*namespace,
        "before": told(&applied.before),
        "after": told(&applied.after),
    }))
}

/// The namespace whose pods or policies a change is about.
fn namespace_of(change: Change) -> Option<Arc<str>> {
    match change {
        Change::Is(Object::Pod(pod)) => Some(pod.namespace),
        Change::PodGone { namespace, .. } | Change::Is(Object::Ended { namespace, .. }) => {
            Some(namespace)
        }
        Change::Is(Object::Policy(policy)) => policy.name.namespace().cloned(),
        Change::PolicyGone(name) => name.namespace().cloned(),
        _ => None,
    }
}
