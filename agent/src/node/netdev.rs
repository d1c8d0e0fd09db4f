//! Network interfaces of the host.

use crate::cgroup::network::{Interface, parse};
use crate::expose::{Exposition, Kind};
use crate::host::HostFiles;

/// A family and its figure.
type Figure = (&'static str, &'static str, fn(&Interface) -> u64);

#[rustfmt::skip] // a table
const FIGURES: [Figure; 8] = [
    ("node_network_receive_bytes_total", "Bytes received.", |i| i.receive.bytes),
    ("node_network_receive_packets_total", "Packets received.", |i| i.receive.packets),
    ("node_network_receive_errs_total", "Errors while receiving.", |i| i.receive.errors),
    ("node_network_receive_drop_total", "Packets dropped while receiving.", |i| i.receive.dropped),
    ("node_network_transmit_bytes_total", "Bytes sent.", |i| i.transmit.bytes),
    ("node_network_transmit_packets_total", "Packets sent.", |i| i.transmit.packets),
    ("node_network_transmit_errs_total", "Errors while sending.", |i| i.transmit.errors),
    ("node_network_transmit_drop_total", "Packets dropped while sending.", |i| i.transmit.dropped),
];

/// Writes the families.
pub fn write(host: &HostFiles, body: &mut Exposition) {
    let text = host.proc("1/net/dev").or_else(|| host.proc("net/dev"));
    let interfaces = parse(&text.unwrap_or_default());
    for (name, help, of) in FIGURES {
        body.family(name, Kind::Counter, help);
        for interface in &interfaces {
            body.sample(&[("device", &interface.name)], of(interface) as f64);
        }
    }
}
