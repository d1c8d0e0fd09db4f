//! `taffrail policy netpol`: who may reach whom, from manifests.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use admission::network_policy::{
    Connectivity, Endpoint, Flow, Manifests, Names, PeerSet, PortSet, Protocol, World,
};
use anyhow::{Context as _, bail};
use serde::Serialize;

use super::{policy, table};
use crate::cli::Output;
use crate::cli::netpol::PolicyNetpolArgs;

/// What to print, and the answer in one bit.
pub(crate) struct Answer {
    /// What to print.
    pub(crate) text: String,
    /// Whether it is yes: allowed, or no difference.
    pub(crate) yes: bool,
}

/// More pairs nobody reads, and they would not fit anywhere.
const PAIRS_MAX: usize = 250_000;

/// One connection.
#[derive(Serialize)]
struct Judged {
    from: String,
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<Protocol>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    verdict: &'static str,
    /// Of those that were asked about, the ports that are allowed.
    ports: PortSet,
    #[serde(flatten)]
    reasons: Option<Connectivity>,
}

/// What is different.
#[derive(Serialize)]
struct Different {
    opened: Vec<NamedFlow>,
    closed: Vec<NamedFlow>,
}

#[derive(Serialize)]
struct NamedFlow {
    from: Names,
    to: Names,
    ports: PortSet,
}

/// Answers what is asked.
pub(crate) fn netpol(args: &PolicyNetpolArgs) -> anyhow::Result<Answer> {
    let after = manifests(&args.files, &args.namespace)?;
    if !args.before.is_empty() {
        return difference(&manifests(&args.before, &args.namespace)?, &after, args);
    }
    let world = after.world();
    let end = |text: &Option<String>| text.as_ref().map(|text| world.endpoint(text)).transpose();
    let (from, to) = (end(&args.from)?, end(&args.to)?);
    if let (Some(from), Some(to)) = (&from, &to) {
        return one(&world, from, to, args);
    }
    matrix(&world, from, to, args)
}

fn one(
    world: &World,
    from: &Endpoint,
    to: &Endpoint,
    args: &PolicyNetpolArgs,
) -> anyhow::Result<Answer> {
    let asked = asked_ports(world, to, args)?;
    if let (Some(port), true) = (&args.port, asked.is_empty()) {
        let protocol = args.protocol.unwrap_or(Protocol::Tcp);
        bail!(
            "{} gives no {protocol} port the name {port}",
            world.name(to)
        );
    }
    let judged = judge(world, from, to, &asked, true);
    let yes = judged.verdict == "allowed";
    let text = match args.output {
        Output::Json => format!("{}\n", serde_json::to_string_pretty(&judged)?),
        Output::Table => {
            let ports = if yes { &judged.ports } else { &asked };
            let mut text = format!(
                "{} {} -> {} on {ports}\n",
                judged.verdict, judged.from, judged.to
            );
            if let Some(reasons) = &judged.reasons {
                let _ = writeln!(text, "  {}\n  {}", reasons.egress, reasons.ingress);
            }
            text
        }
    };
    Ok(Answer { text, yes })
}

/// The ports a question is about; empty if they have a name that the destination does not know.
fn asked_ports(world: &World, to: &Endpoint, args: &PolicyNetpolArgs) -> anyhow::Result<PortSet> {
    let Some(port) = &args.port else {
        return Ok(args
            .protocol
            .map_or_else(PortSet::everything, PortSet::all_of));
    };
    let protocol = args.protocol.unwrap_or(Protocol::Tcp);
    if port.bytes().all(|byte| byte.is_ascii_digit()) {
        return match port.parse::<u16>() {
            Ok(number) if number > 0 => Ok(PortSet::of(protocol, number, number)),
            _ => bail!("--port must be from 1 to 65535, not {port}"),
        };
    }
    Ok(world.named_ports(to, protocol, port))
}

fn judge(world: &World, from: &Endpoint, to: &Endpoint, asked: &PortSet, why: bool) -> Judged {
    let ports = world.ports(from, to).intersection(asked);
    // Of many ports the first that is allowed stands for all, or else the first.
    let ranges = if ports.is_empty() {
        asked.ranges()
    } else {
        ports.ranges()
    };
    let first = ranges.first().map(|range| (range.protocol, range.first));
    let is_one = asked
        .ranges()
        .iter()
        .map(|r| u32::from(r.last - r.first) + 1)
        .sum::<u32>()
        == 1;
    let (protocol, port) = first.filter(|_| is_one).unzip();
    Judged {
        from: world.name(from),
        to: world.name(to),
        protocol,
        port,
        verdict: if ports.is_empty() {
            "denied"
        } else {
            "allowed"
        },
        ports,
        reasons: first
            .filter(|_| why)
            .map(|(protocol, port)| world.connectivity(from, to, protocol, port)),
    }
}

/// Everybody with everybody, the internet among them; or one end with all.
fn matrix(
    world: &World,
    from: Option<Endpoint>,
    to: Option<Endpoint>,
    args: &PolicyNetpolArgs,
) -> anyhow::Result<Answer> {
    let all = || -> anyhow::Result<Vec<Endpoint>> {
        let mut all: Vec<_> = world.everyone().iter().map(Endpoint::Pod).collect();
        all.sort_by_key(|end| world.name(end));
        all.push(world.endpoint("internet")?);
        Ok(all)
    };
    let many = |end: Option<Endpoint>| end.map_or_else(all, |end| Ok(vec![end]));
    let (sources, destinations) = (many(from)?, many(to)?);
    if sources.len().saturating_mul(destinations.len()) > PAIRS_MAX {
        bail!(
            "{} pairs of pods are too many to print: name one end with --from or --to",
            sources.len().saturating_mul(destinations.len())
        );
    }
    let mut judged = Vec::new();
    for from in &sources {
        for to in &destinations {
            // Who is outside reaches whom outside is not for policies to say.
            if matches!((from, to), (Endpoint::Addresses(_), Endpoint::Addresses(_))) {
                continue;
            }
            judged.push(judge(
                world,
                from,
                to,
                &asked_ports(world, to, args)?,
                false,
            ));
        }
    }
    let text = match args.output {
        Output::Json => format!("{}\n", serde_json::to_string_pretty(&judged)?),
        Output::Table => {
            let rows: Vec<_> = judged
                .into_iter()
                .map(|row| {
                    vec![
                        row.from,
                        row.to,
                        row.verdict.to_string(),
                        row.ports.to_string(),
                    ]
                })
                .collect();
            table::render(&["from", "to", "verdict", "ports"], &rows)
        }
    };
    Ok(Answer { text, yes: true })
}

/// What of the flows of a state is asked about.
struct Asked {
    from: Option<PeerSet>,
    to: Option<PeerSet>,
    ports: PortSet,
}

fn difference(
    before: &Manifests,
    after: &Manifests,
    args: &PolicyNetpolArgs,
) -> anyhow::Result<Answer> {
    let difference = before.world().differences(before.changes(after));
    let worlds = (&difference.before, &difference.after);
    let named = |world: &World, flows: &[Flow]| -> anyhow::Result<Vec<NamedFlow>> {
        let asked = asked(world, worlds, args)?;
        Ok(flows
            .iter()
            .filter_map(|flow| narrowed(world, flow, &asked))
            .collect())
    };
    let different = Different {
        opened: named(&difference.after, &difference.opened)?,
        closed: named(&difference.before, &difference.closed)?,
    };
    let yes = different.opened.is_empty() && different.closed.is_empty();
    let text = match args.output {
        Output::Json => format!("{}\n", serde_json::to_string_pretty(&different)?),
        Output::Table => {
            let mut text = String::new();
            for (word, flows) in [("opened", &different.opened), ("closed", &different.closed)] {
                for flow in flows {
                    let _ = writeln!(
                        text,
                        "{word} {} -> {} on {}",
                        flow.from, flow.to, flow.ports
                    );
                }
            }
            if yes {
                text.push_str("nothing is different\n");
            }
            text
        }
    };
    Ok(Answer { text, yes })
}

/// An end that one of the states knows and `world` does not has no part in its flows.
fn asked(
    world: &World,
    worlds: (&World, &World),
    args: &PolicyNetpolArgs,
) -> anyhow::Result<Asked> {
    let end = |text: &Option<String>| -> anyhow::Result<Option<Option<Endpoint>>> {
        let Some(text) = text else { return Ok(None) };
        let known = worlds
            .1
            .endpoint(text)
            .or_else(|_| worlds.0.endpoint(text))?;
        if matches!(known, Endpoint::Domain(_)) {
            bail!(
                "{text}: nobody knows the addresses of a domain name, so they cannot be compared"
            );
        }
        Ok(Some(world.endpoint(text).ok()))
    };
    let (from, to) = (end(&args.from)?, end(&args.to)?);
    let ports = match (&args.port, &to) {
        (Some(port), None) if port.parse::<u16>().is_err() => {
            bail!("--port by name needs --to: each destination has its own numbers")
        }
        (_, Some(Some(to))) => asked_ports(world, to, args)?,
        (_, Some(None)) => PortSet::default(),
        (_, None) => asked_ports(world, &world.endpoint("internet")?, args)?,
    };
    let peers = |end: Option<Option<Endpoint>>| {
        end.map(|end| end.map(|end| world.peers(&end)).unwrap_or_default())
    };
    Ok(Asked {
        from: peers(from),
        to: peers(to),
        ports,
    })
}

fn narrowed(world: &World, flow: &Flow, asked: &Asked) -> Option<NamedFlow> {
    let (from, to) = (asked.from.as_ref(), asked.to.as_ref());
    let flow = flow.between(from.unwrap_or(&flow.from), to.unwrap_or(&flow.to))?;
    let ports = flow.ports.intersection(&asked.ports);
    (!ports.is_empty()).then(|| NamedFlow {
        from: world.names(&flow.from),
        to: world.names(&flow.to),
        ports,
    })
}

fn manifests(paths: &[PathBuf], namespace: &str) -> anyhow::Result<Manifests> {
    let mut manifests = Manifests::default();
    for path in paths {
        let mut files = Vec::new();
        collect(path, &mut files)?;
        for file in files {
            let text = policy::read(&file)?;
            let read = manifests.read(&text, namespace);
            read.with_context(|| file.display().to_string())?;
        }
    }
    Ok(manifests)
}

/// A file, or the manifests below a folder, in the order of their paths.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    let failed = || format!("cannot read {}", path.display());
    let entries = std::fs::read_dir(path).with_context(failed)?;
    let mut below = Vec::new();
    for entry in entries {
        below.push(entry.with_context(failed)?.path());
    }
    below.sort();
    for path in below {
        // A mounted ConfigMap keeps its former contents in folders that begin with two dots.
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(".."))
        {
            continue;
        }
        let is_manifest = path
            .extension()
            .is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if path.is_dir() || is_manifest {
            collect(&path, files)?;
        }
    }
    Ok(())
}
