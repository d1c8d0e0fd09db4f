//! Addresses: sets of them, blocks, and what `internet` is.
//!
//! A set holds addresses of both families exactly, as ranges, and is written as the fewest
//! CIDRs. The internet is every address that is not set aside for private, shared, local,
//! multicast or future use; the ranges that documents are written with count as internet,
//! because a rule about them is meant as a rule about the outside.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use serde::{Serialize, Serializer};

use super::ranges::Ranges;

/// A set of addresses of both families.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct AddressSet {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

/// What of IPv4 is not the internet.
const NOT_INTERNET_V4: [&str; 10] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/3",
];

/// What of IPv6 is: the global unicast space.
const INTERNET_V6: &str = "2000::/3";

impl AddressSet {
    /// Every address there is.
    pub fn everything() -> Self {
        AddressSet {
            v4: Ranges::everything(),
            v6: Ranges::everything(),
        }
    }

    /// The public internet.
    pub fn internet() -> Self {
        let parse = |net: &str| net.parse::<IpNet>().map(Self::of_net).unwrap_or_default();
        let mut internet = AddressSet {
            v4: Ranges::everything(),
            v6: Ranges::default(),
        };
        for net in NOT_INTERNET_V4 {
            internet = internet.difference(&parse(net));
        }
        internet.union(&parse(INTERNET_V6))
    }

    /// One address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => AddressSet {
                v4: Ranges::of(v4.to_bits(), v4.to_bits()),
                v6: Ranges::default(),
            },
            IpAddr::V6(v6) => AddressSet {
                v4: Ranges::default(),
                v6: Ranges::of(v6.to_bits(), v6.to_bits()),
            },
        }
    }

    /// The addresses of a CIDR.
    pub fn of_net(net: IpNet) -> Self {
        match net {
            IpNet::V4(v4) => AddressSet {
                v4: Ranges::of(v4.network().to_bits(), v4.broadcast().to_bits()),
                v6: Ranges::default(),
            },
            IpNet::V6(v6) => AddressSet {
                v4: Ranges::default(),
                v6: Ranges::of(v6.network().to_bits(), v6.broadcast().to_bits()),
            },
        }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether it holds `address`.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.v4.contains(v4.to_bits()),
            IpAddr::V6(v6) => self.v6.contains(v6.to_bits()),
        }
    }

    /// An address of it, the least, IPv4 before IPv6.
    pub fn any(&self) -> Option<IpAddr> {
        let v4 = self.v4.first().map(|bits| Ipv4Addr::from(bits).into());
        v4.or_else(|| self.v6.first().map(|bits| Ipv6Addr::from(bits).into()))
    }

    /// What is in one or the other.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        AddressSet {
            v4: self.v4.union(&other.v4),
            v6: self.v6.union(&other.v6),
        }
    }

    /// What is in any of them.
    pub(super) fn union_all<'a>(sets: impl IntoIterator<Item = &'a Self> + Clone) -> Self {
        AddressSet {
            v4: Ranges::union_all(sets.clone().into_iter().map(|set| &set.v4)),
            v6: Ranges::union_all(sets.into_iter().map(|set| &set.v6)),
        }
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        AddressSet {
            v4: self.v4.intersection(&other.v4),
            v6: self.v6.intersection(&other.v6),
        }
    }

    /// Whether an address is in both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.v4.meets(&other.v4) || self.v6.meets(&other.v6)
    }

    /// What is in this one only.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        AddressSet {
            v4: self.v4.difference(&other.v4),
            v6: self.v6.difference(&other.v6),
        }
    }

    /// Whether all of it is in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.difference(other).is_empty()
    }

    /// Whether it holds half or more of what `all` holds of a family that is not empty there.
    pub(super) fn is_half_of(&self, all: &Self) -> bool {
        let is_half = |some: u128, all: u128| all > 0 && some >= all / 2;
        let v4 = |set: &Self| {
            set.v4
                .iter()
                .map(|(a, b)| u128::from(b - a) + 1)
                .sum::<u128>()
        };
        // Halved beforehand, so that all of IPv6 fits.
        let v6 = |set: &Self| set.v6.iter().map(|(a, b)| (b - a) / 2 + 1).sum::<u128>();
        is_half(v4(self), v4(all)) || is_half(v6(self), v6(all))
    }

    /// The fewest CIDRs that make it up, IPv4 first, in order.
    pub fn nets(&self) -> Vec<IpNet> {
        let v4 = self.v4.iter().flat_map(|(first, last)| {
            Ipv4Subnets::new(first.into(), last.into(), 0).map(IpNet::from)
        });
        let v6 = self.v6.iter().flat_map(|(first, last)| {
            Ipv6Subnets::new(first.into(), last.into(), 0).map(IpNet::from)
        });
        v4.chain(v6).collect()
    }
}

/// How many CIDRs a message names before it says how many more there are.
const NETS_SHOWN: usize = 8;

impl fmt::Display for AddressSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::everything() {
            return f.write_str("every address");
        }
        let internet = Self::internet();
        if *self == internet {
            return f.write_str("internet");
        }
        if self.v4 == internet.v4 && self.v6.is_empty() {
            return f.write_str("internet (IPv4)");
        }
        if self.v6 == internet.v6 && self.v4.is_empty() {
            return f.write_str("internet (IPv6)");
        }
        let nets = self.nets();
        for (i, net) in nets.iter().take(NETS_SHOWN).enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{net}")?;
        }
        match nets.len().checked_sub(NETS_SHOWN) {
            Some(more) if more > 0 => write!(f, " and {more} more"),
            _ => Ok(()),
        }
    }
}

impl Serialize for AddressSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.nets().iter().map(ToString::to_string))
    }
}

/// A CIDR with holes in it, as NetworkPolicy's `ipBlock` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The addresses: the CIDR's, without the holes'.
    pub(super) addresses: AddressSet,
    /// Whether it also holds a pod whose address nobody knows.
    pub(super) unknown: bool,
}

impl Block {
    /// A CIDR without `except`. A pod without a known address is in it if it is a whole family
    /// and all that is cut out is link-local, where no pod is.
    pub fn new(cidr: IpNet, except: &[IpNet]) -> Self {
        let holes: Vec<AddressSet> = except
            .iter()
            .map(|hole| AddressSet::of_net(*hole))
            .collect();
        let holes = AddressSet::union_all(&holes);
        let addresses = AddressSet::of_net(cidr).difference(&holes);
        let is_link_local = |net: &IpNet| match net.network() {
            IpAddr::V4(v4) => v4.is_link_local() && net.prefix_len() >= 16,
            IpAddr::V6(v6) => v6.is_unicast_link_local() && net.prefix_len() >= 10,
        };
        Block {
            addresses,
            unknown: cidr.prefix_len() == 0 && except.iter().all(is_link_local),
        }
    }

    /// No address.
    pub(super) fn nothing() -> Self {
        Block {
            addresses: AddressSet::default(),
            unknown: false,
        }
    }

    /// What is in one or the other.
    pub(super) fn and(&self, other: &Self) -> Self {
        Block {
            addresses: self.addresses.union(&other.addresses),
            unknown: self.unknown || other.unknown,
        }
    }

    /// Whether one of a pod's addresses is in it.
    pub fn holds(&self, addresses: &[IpAddr]) -> bool {
        if addresses.is_empty() {
            return self.unknown;
        }
        addresses
            .iter()
            .any(|address| self.addresses.contains(*address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(cidr: &str, except: &[&str]) -> Block {
        let except: Vec<IpNet> = except.iter().map(|net| net.parse().unwrap()).collect();
        Block::new(cidr.parse().unwrap(), &except)
    }

    #[test]
    fn sets_are_written_as_the_fewest_cidrs() {
        for (block, expected) in [
            (block("10.0.0.0/8", &[]), "10.0.0.0/8"),
            (block("10.1.2.3/8", &[]), "10.0.0.0/8"),
            (
                block("10.0.0.0/30", &["10.0.0.1/32"]),
                "10.0.0.0/32, 10.0.0.2/31",
            ),
            (
                block("2001:db8::/126", &["2001:db8::/127"]),
                "2001:db8::2/127",
            ),
            (block("192.168.1.0/24", &[]), "192.168.1.0/24"),
        ] {
            assert_eq!(block.addresses.to_string(), expected);
        }
    }

    #[test]
    fn the_internet_is_what_is_not_set_aside() {
        let internet = AddressSet::internet();
        for (address, expected) in [
            ("8.8.8.8", true),
            ("203.0.113.7", true),
            ("10.1.1.1", false),
            ("172.31.255.255", false),
            ("172.32.0.0", true),
            ("169.254.169.254", false),
            ("240.0.0.1", false),
            ("2606:4700::1", true),
            ("fd00::1", false),
            ("fe80::1", false),
        ] {
            assert_eq!(
                internet.contains(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
    }

    #[test]
    fn a_pod_without_an_address_is_in_a_whole_family_only() {
        for (block, expected) in [
            (block("0.0.0.0/0", &[]), true),
            (block("::/0", &[]), true),
            (block("0.0.0.0/0", &["169.254.169.254/32"]), true),
            (block("0.0.0.0/0", &["10.0.0.0/8"]), false),
            (block("10.0.0.0/8", &[]), false),
        ] {
            assert_eq!(block.holds(&[]), expected, "{block:?}");
        }
    }
}
