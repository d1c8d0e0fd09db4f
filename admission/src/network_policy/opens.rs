//! Whether a change opens a way from some ends to others, and by which rule.
//!
//! Who the ends are can change too: a pod that is labelled so that it becomes one of them brings
//! along whoever reaches it already. So beside what the change opens it is asked what those
//! that are new among the ends reach and are reached by.

use super::connectivity::{Connectivity, Endpoint};
use super::decode::Malformed;
use super::difference::{Applied, Between, Difference};
use super::ends::Ends;
use super::port::Protocol;
use super::reach::Flow;
use super::world::World;

/// A way that is open now and was not.
#[derive(Debug)]
pub struct Opened {
    /// All of it.
    pub flow: Flow,
    /// One connection of it, with the rules that allow it.
    pub example: Example,
}

/// One connection.
#[derive(Debug)]
pub struct Example {
    /// Its source.
    pub from: Endpoint,
    /// Its destination.
    pub to: Endpoint,
    /// Its port.
    pub port: (Protocol, u16),
    /// Why it is allowed.
    pub connectivity: Connectivity,
}

impl Difference {
    /// What the change opens from some ends to others.
    pub fn opens(&self, from: &Ends, to: &Ends) -> Result<Vec<Opened>, Malformed> {
        opens([&self.before, &self.after], from, to, |between| {
            let flows = self.opened.iter();
            flows
                .filter_map(|flow| flow.between(&between.from, &between.to))
                .collect()
        })
    }
}

impl Applied {
    /// What the change opens from some ends to others, at the cost of these ends.
    pub(super) fn opens(&self, from: &Ends, to: &Ends) -> Result<Vec<Opened>, Malformed> {
        opens([&self.before, &self.after], from, to, |between| {
            self.flows_between(between).opened
        })
    }
}

fn opens(
    [before, after]: [&World; 2],
    from: &Ends,
    to: &Ends,
    opened: impl FnOnce(&Between) -> Vec<Flow>,
) -> Result<Vec<Opened>, Malformed> {
    let between = Between {
        from: from.of(after)?,
        to: to.of(after)?,
    };
    let (old_sources, old_destinations) = (from.of(before)?, to.of(before)?);
    let new_sources = between.from.difference(&old_sources);
    let new_destinations = between.to.difference(&old_destinations);
    let mut flows = opened(&between);
    let only = |flows: Vec<Flow>| {
        let flows = flows.into_iter();
        flows.filter_map(|flow| flow.between(&between.from, &between.to))
    };
    if !new_destinations.pods.is_empty() {
        flows.extend(only(after.reaches(&new_destinations.pods)));
    }
    if !new_sources.pods.is_empty() {
        flows.extend(only(after.reached_by(&new_sources.pods)));
    }
    let with_example = |flow: Flow| {
        let example = example(after, &flow)?;
        Some(Opened { flow, example })
    };
    Ok(flows.into_iter().filter_map(with_example).collect())
}

/// One connection of a flow, between two different ends.
fn example(world: &World, flow: &Flow) -> Option<Example> {
    let range = flow.ports.ranges().into_iter().next()?;
    let ends = |peers: &super::region::PeerSet| {
        let pods = peers.pods.iter().take(2).map(Endpoint::Pod);
        let address = peers
            .addresses
            .any()
            .map(|_| Endpoint::Addresses(peers.addresses.clone()));
        pods.chain(address).collect::<Vec<_>>()
    };
    let (from, to) = (ends(&flow.from), ends(&flow.to));
    let (from, to) = from.iter().find_map(|from| {
        let other = to.iter().find(|to| *to != from)?;
        Some((from.clone(), other.clone()))
    })?;
    let port = (range.protocol, range.first);
    Some(Example {
        connectivity: world.connectivity(&from, &to, port.0, port.1),
        from,
        to,
        port,
    })
}
