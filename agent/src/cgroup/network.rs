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
///
/// The kernel tells namespaces apart only to whom may trace the process. The counters tell them apart
/// to everybody: those of the same interface only grow, so what was read between two looks at the
/// host and lies between them is the host's.
pub fn of_process(host: &HostFiles, process: u32) -> Option<Vec<Interface>> {
    let of = |process: &str| host.proc(&format!("{process}/net/dev"));
    let before = of("1");
    let text = of(&process.to_string())?;
    if let (Some(before), Some(after)) = (before, of("1"))
        && lies_between(&parse(&before), &parse(&text), &parse(&after))
    {
        return None;
    }
    Some(accounted(&text))
}

/// Whether the same interfaces are in all three, and no counter of `seen` lies outside the others'.
fn lies_between(before: &[Interface], seen: &[Interface], after: &[Interface]) -> bool {
    let counters = |interface: &Interface| {
        let of = |direction: Direction| [direction.bytes, direction.packets];
        [of(interface.receive), of(interface.transmit)].concat()
    };
    before.len() == seen.len()
        && seen.len() == after.len()
        && before
            .iter()
            .zip(seen)
            .zip(after)
            .all(|((before, seen), after)| {
                let within = || {
                    let bounds = counters(before).into_iter().zip(counters(after));
                    let mut bounded = bounds.zip(counters(seen));
                    bounded.all(|((low, high), value)| low <= value && value <= high)
                };
                before.name == seen.name && seen.name == after.name && within()
            })
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
