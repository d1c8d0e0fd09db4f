//! Ports and protocols: one axis of numbers for the three protocols a policy can tell apart.
//!
//! A place on the axis is a protocol and a port, 65,536 places a protocol, one protocol after
//! the other. Port 0 is no port anything can be sent to; its place belongs to port 1, so that
//! "every port" has one representation however it was written.

use std::fmt;

use serde::ser::SerializeSeq as _;
use serde::{Serialize, Serializer};

use super::ranges::Ranges;

/// A protocol that policies can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP, also where none is said.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A protocol that no policy can name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be TCP, UDP or SCTP, not {0:?}")]
pub struct UnknownProtocol(String);

impl Protocol {
    /// All of them.
    pub const ALL: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];

    /// As Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        }
    }

    fn base(self) -> u32 {
        match self {
            Protocol::Tcp => 0,
            Protocol::Udp => PLACES,
            Protocol::Sctp => 2 * PLACES,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Protocol::ALL.into_iter().find(|p| p.as_str() == text);
        known.ok_or_else(|| UnknownProtocol(text.to_string()))
    }
}

const PLACES: u32 = 1 << 16;

/// The last place on the axis.
pub(super) const AXIS_LAST: u32 = 3 * PLACES - 1;

/// The place of a port.
pub(super) fn place(protocol: Protocol, port: u16) -> u32 {
    protocol.base() + u32::from(port)
}

/// A set of ports of all protocols.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct PortSet(Ranges<u32>);

/// Ports of one protocol that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// The protocol.
    pub protocol: Protocol,
    /// The first port; 1 at the least.
    pub first: u16,
    /// The last port.
    pub last: u16,
}

impl PortSet {
    /// Every port of every protocol.
    pub fn everything() -> Self {
        PortSet(Ranges::of(0, AXIS_LAST))
    }

    /// Every port of a protocol.
    pub fn all_of(protocol: Protocol) -> Self {
        PortSet::of(protocol, 1, u16::MAX)
    }

    /// From `first` to `last`.
    pub fn of(protocol: Protocol, first: u16, last: u16) -> Self {
        let first = if first <= 1 { 0 } else { first };
        PortSet(Ranges::of(place(protocol, first), place(protocol, last)))
    }

    pub(super) fn of_places(first: u32, last: u32) -> Self {
        PortSet(Ranges::of(first, last))
    }

    /// From the first place to the last of each of these, in any order.
    pub(super) fn of_all(places: Vec<(u32, u32)>) -> Self {
        PortSet(Ranges::of_all(places))
    }

    pub(super) fn places(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a port is in it.
    pub fn contains(&self, protocol: Protocol, port: u16) -> bool {
        self.0.contains(place(protocol, port))
    }

    /// What is in one or the other.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        PortSet(self.0.union(&other.0))
    }

    /// What is in any of them.
    pub(super) fn union_all<'a>(sets: impl IntoIterator<Item = &'a Self>) -> Self {
        PortSet(Ranges::union_all(sets.into_iter().map(|set| &set.0)))
    }

    /// Whether something is in both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.0.meets(&other.0)
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        PortSet(self.0.intersection(&other.0))
    }

    /// What is in this one only.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        PortSet(self.0.difference(&other.0))
    }

    /// The ranges of each protocol, in order.
    pub fn ranges(&self) -> Vec<PortRange> {
        let mut list = Vec::new();
        for protocol in Protocol::ALL {
            let all = Ranges::of(place(protocol, 0), place(protocol, u16::MAX));
            for (first, last) in self.0.intersection(&all).iter() {
                let port = |place: u32| u16::try_from(place - protocol.base()).unwrap_or(u16::MAX);
                list.push(PortRange {
                    protocol,
                    first: port(first).max(1),
                    last: port(last),
                });
            }
        }
        list
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (1, u16::MAX) => f.write_str("all"),
            (first, last) if first == last => write!(f, "{first}"),
            (first, last) => write!(f, "{first}-{last}"),
        }
    }
}

impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::everything() {
            return f.write_str("all ports");
        }
        if self.is_empty() {
            return f.write_str("no port");
        }
        let mut before = None;
        for range in self.ranges() {
            match before {
                Some(protocol) if protocol == range.protocol => f.write_str(", ")?,
                Some(_) => write!(f, "; {} ", range.protocol)?,
                None => write!(f, "{} ", range.protocol)?,
            }
            before = Some(range.protocol);
            range.fmt(f)?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct WrittenRange {
    protocol: Protocol,
    port: u16,
    #[serde(rename = "endPort")]
    end_port: u16,
}

impl Serialize for PortSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ranges = self.ranges();
        let mut list = serializer.serialize_seq(Some(ranges.len()))?;
        for range in ranges {
            list.serialize_element(&WrittenRange {
                protocol: range.protocol,
                port: range.first,
                end_port: range.last,
            })?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_told_by_protocol() {
        let http = PortSet::of(Protocol::Tcp, 80, 80);
        for (set, expected) in [
            (PortSet::everything(), "all ports"),
            (PortSet::default(), "no port"),
            (http.clone(), "TCP 80"),
            (
                http.union(&PortSet::of(Protocol::Tcp, 8000, 8100)),
                "TCP 80, 8000-8100",
            ),
            (
                http.union(&PortSet::all_of(Protocol::Udp)),
                "TCP 80; UDP all",
            ),
            (
                PortSet::everything().difference(&http),
                "TCP 1-79, 81-65535; UDP all; SCTP all",
            ),
        ] {
            assert_eq!(set.to_string(), expected);
        }
    }

    #[test]
    fn every_port_is_one_set_however_it_is_written() {
        let mut all = PortSet::default();
        for protocol in Protocol::ALL {
            all = all.union(&PortSet::of(protocol, 1, 65_535));
        }
        assert_eq!(all, PortSet::everything());
        assert!(!PortSet::of(Protocol::Udp, 53, 53).contains(Protocol::Tcp, 53));
    }
}
