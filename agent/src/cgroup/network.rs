//! The interfaces of a network namespace, as a process in it sees them.

use crate::host::HostFiles;

/// What one interface carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// What it received.
    pub receive: Direction,
    /// What it sent.
    pub transmit: Direction,
}

/// One direction of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Direction {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets in error.
    pub errors: u64,
    /// Packets dropped.
    pub dropped: u64,
}

/// The host's interfaces.
pub fn of_host(host: &HostFiles) -> Vec<Interface> {
    // The first process is in the host's namespace even where we are not.
    let text = host.proc("1/net/dev").or_else(|| host.proc("net/dev"));
    accounted(&text.unwrap_or_default())
}

/// The interfaces of a process; nothing where it lives in the host's network, which is not its own.
pub fn of_process(host: &HostFiles, process: u32) -> Option<Vec<Interface>> {
    let namespace =
        |process: &str| std::fs::read_link(host.roots.proc.join(process).join("ns/net")).ok();
    let own = namespace(&process.to_string());
    if own.is_some() && own == namespace("1") {
        return None;
    }
    let text = host.proc(&format!("{process}/net/dev"))?;
    Some(accounted(&text))
}

/// Without the loopback and the host's ends of other namespaces' interfaces, as cAdvisor does it.
fn accounted(text: &str) -> Vec<Interface> {
    let mut interfaces = parse(text);
    interfaces.retain(|interface| {
        interface.name != "lo"
            && !interface.name.starts_with("veth")
            && !interface.name.starts_with("docker")
    });
    interfaces
}

/// Reads `net/dev`: two lines of heads, then sixteen numbers an interface.
pub fn parse(text: &str) -> Vec<Interface> {
    text.lines()
        .filter_map(|line| {
            let (name, numbers) = line.split_once(':')?;
            let numbers: Vec<u64> = numbers
                .split_ascii_whitespace()
                .filter_map(|number| number.parse().ok())
                .collect();
            let receive = direction(numbers.get(..8)?)?;
            let transmit = direction(numbers.get(8..16)?)?;
            Some(Interface {
                name: name.trim().to_owned(),
                receive,
                transmit,
            })
        })
        .collect()
}

fn direction(numbers: &[u64]) -> Option<Direction> {
    let [bytes, packets, errors, dropped, ..] = *numbers else {
        return None;
    };
    Some(Direction {
        bytes,
        packets,
        errors,
        dropped,
    })
}
