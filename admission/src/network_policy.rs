//! Who may reach whom: NetworkPolicy and ClusterNetworkPolicy, evaluated.
//!
//! A pure evaluator: no I/O, no clock, and Rego only where it is offered to it. A [`World`] is made from objects as the API
//! server has them, and answers three questions: whether one connection is allowed and by which
//! rule ([`World::connectivity`]), who reaches some pods ([`World::reaches`]), and what a change
//! makes reachable that was not ([`World::difference`]).
//!
//! In the order data flows:
//!
//! - `decode`: from an object to what it means; what cannot be meant is an error with its field
//! - `selector`, `address`, `port` and `ranges`: what they are made of
//! - `policy`, `pod`: what they mean
//! - `world`: all of it together, and how a change goes into it
//! - `region`: for each port, which peers: the algebra everything is computed in
//! - `named`: ports by their names
//! - `quick`: tables by numbers
//! - `partition`, `group`: pods that are decided alike
//! - `spoken`: what rules speak of
//! - `first`: rules of which the first that matches decides
//! - `side`: what the policies allow them
//! - `connectivity`: one connection with its reason
//! - `meet`: two ends that both allow it
//! - `reach`: sets of connections
//! - `difference`: what a change does to them
//! - `endpoint`: how people name the ends
//! - `manifest`: a world from files, on the command line
//! - `ends`, `opens`: whether a change opens a way from some ends to others
//! - `review`: how a policy reads, for rules to judge
//! - [`builtins`]: all of it for Rego
//!
//! The meaning is that of the Kubernetes API reference. Where it leaves something open:
//!
//! - A pod always reaches itself, and a pod and its node reach each other. Sets leave this out.
//! - A pod in its host's network is its node's address: no policy is about it, no selector
//!   means it, and an `ipBlock` does.
//! - An `ipBlock` means a pod by any of its addresses. A pod whose address is not known is meant
//!   by a whole address family only, also where only link-local addresses are cut out of it.
//! - A named port means what the destination's containers call so, sidecars among them; an
//!   address outside has no named ports.
//! - ClusterNetworkPolicies of one tier and priority are asked in the order of their names.
//! - Domain names are known to single connections only; in sets they have no addresses.
//!
//! Two things must never happen here: that an object is judged as something it does not say,
//! and that the sets and the single connection tell different stories.

mod address;
pub mod builtins;
mod connectivity;
mod decode;
mod difference;
mod endpoint;
mod ends;
mod first;
mod group;
mod manifest;
mod meet;
mod named;
mod opens;
mod partition;
mod pod;
mod policy;
mod port;
mod quick;
mod ranges;
mod reach;
mod region;
mod review;
mod selector;
mod side;
mod spoken;
mod world;

pub use address::{AddressSet, Block};
pub use connectivity::{Connectivity, Decision, Endpoint, Reason};
pub use decode::{Malformed, Object, object};
pub use difference::Difference;
pub use endpoint::{EndpointError, Names};
pub use ends::Ends;
pub use manifest::{ManifestError, Manifests};
pub use opens::{Example, Opened};
pub use pod::{NamedPort, Network, Node, Pod};
pub use policy::{
    Action, Direction, Domain, Namespaces, Peer, Peers, PodsPeer, Policy, PolicyName, PortMatch,
    Ports, Rule, Tier,
};
pub use port::{PortRange, PortSet, Protocol, UnknownProtocol};
pub use reach::Flow;
pub use region::PeerSet;
pub use selector::{Labels, Operator, Requirement, Selector};
pub use world::{Change, World};

#[cfg(test)]
mod tests;
