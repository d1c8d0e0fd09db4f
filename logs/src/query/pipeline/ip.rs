//! `ip("…")`: an address, a range of addresses or a network, searched for inside a text.

use std::net::IpAddr;

use ipnet::IpNet;

/// The addresses looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct IpPattern {
    text: String,
    addresses: Addresses,
}

#[derive(Clone, Debug, PartialEq)]
enum Addresses {
    One(IpAddr),
    Range(IpAddr, IpAddr),
    Network(IpNet),
}

impl IpPattern {
    /// Reads `10.0.0.1`, `10.0.0.1-10.0.0.9` or `10.0.0.0/8`, of either version.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let invalid = || format!("ip: invalid pattern {text:?}");
        let trimmed = text.trim();
        let addresses = if trimmed.contains('/') {
            Addresses::Network(trimmed.parse().map_err(|_| invalid())?)
        } else if let Some((first, last)) = trimmed.split_once('-') {
            let first: IpAddr = first.trim().parse().map_err(|_| invalid())?;
            let last: IpAddr = last.trim().parse().map_err(|_| invalid())?;
            if first.is_ipv4() != last.is_ipv4() || last < first {
                return Err(invalid());
            }
            Addresses::Range(first, last)
        } else {
            Addresses::One(trimmed.parse().map_err(|_| invalid())?)
        };
        Ok(Self {
            text: text.to_owned(),
            addresses,
        })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a text holds one of the addresses.
    pub(crate) fn found_in(&self, text: &str) -> bool {
        let address_byte = |b: u8| b.is_ascii_hexdigit() || b == b'.' || b == b':';
        text.as_bytes()
            .split(|b| !address_byte(*b))
            .filter(|run| run.len() >= 2)
            .filter_map(|run| std::str::from_utf8(run).ok())
            .any(|run| self.found_in_run(run))
    }

    /// Looks at a run of characters that addresses are made of: one address, or addresses and
    /// ports joined by colons.
    fn found_in_run(&self, run: &str) -> bool {
        let run = run.trim_end_matches(['.', ':']);
        if let Ok(address) = run.parse() {
            return self.contains(address);
        }
        run.split(':')
            .filter_map(|part| part.trim_matches('.').parse().ok())
            .any(|address| self.contains(address))
    }

    fn contains(&self, address: IpAddr) -> bool {
        match &self.addresses {
            Addresses::One(one) => *one == address,
            Addresses::Range(first, last) => {
                first.is_ipv4() == address.is_ipv4() && *first <= address && address <= *last
            }
            Addresses::Network(network) => network.contains(&address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_inside_texts() {
        for (pattern, text, found) in [
            ("10.0.0.0/8", "client 10.0.0.7:80", true),
            ("10.0.0.0/8", "id:10.0.0.7.", true),
            ("10.0.0.0/8", "no ip here", false),
            ("192.168.0.1-192.168.0.9", "src=192.168.0.5,", true),
            ("192.168.0.1-192.168.0.9", "src=192.168.0.10,", false),
            ("2001:db8::/32", "[2001:db8::1]:443", true),
            ("2001:db8::1", "addr 2001:db8::1", true),
            ("1.2.3.4", "11.2.3.4", false),
        ] {
            let pattern = IpPattern::parse(pattern).expect("pattern");
            assert_eq!(pattern.found_in(text), found, "{pattern:?} {text}");
        }
        for text in ["bogus", "10.0.0.0/99", "10.0.0.9-10.0.0.1", ""] {
            assert!(IpPattern::parse(text).is_err(), "{text}");
        }
    }
}
