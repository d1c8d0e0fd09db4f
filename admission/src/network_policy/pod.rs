//! Pods and nodes: who can be at an end of a connection.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::port::Protocol;
use super::selector::Labels;

/// A port that a container gives a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedPort {
    /// Its name.
    pub name: Arc<str>,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub number: u16,
}

/// Whose network a pod is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// One of its own, which policies are about.
    Own,
    /// Its node's. No selector of a policy means such a pod: it is its node's address.
    Host,
}

/// A pod, as far as it matters to who reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name; `deployment/web` for the one that stands for those of a Deployment.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: Arc<Labels>,
    /// The ports its containers give names to, sorted.
    pub ports: Arc<[NamedPort]>,
    /// Whose network it is in.
    pub network: Network,
    /// Its addresses; none if nobody knows them yet.
    pub addresses: Box<[IpAddr]>,
    /// The addresses of the node it runs on, as far as known.
    pub host_addresses: Box<[IpAddr]>,
}

impl fmt::Display for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: Labels,
    /// Its addresses.
    pub addresses: Box<[IpAddr]>,
}
