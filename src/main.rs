//! The binary: command line, configuration, roles, wiring, shutdown. Thin; what it starts lives in
//! the members.
//!
//! Modules, in the order a start goes through them:
//!
//! - [`cli`]: the command line as it is written.
//! - [`config`]: what was written, checked whole, and what it means.
//! - [`run`]: the roles: what is started, in which order, and how it stops.
//! - [`stores`]: the stores of a data folder.
//! - [`tenants`]: a data folder for each, where they are told apart.
//! - [`rules`]: rules, and how alerts are sent.
//! - [`reload`]: what is read anew while the program runs.
//! - [`snapshots`]: snapshots of a data folder.
//! - [`wiring`]: how the members, which do not know each other, reach one another.
//! - [`data`]: whom admission rules ask beside the object.
//! - [`http`]: the one port for HTTP.
//! - [`web`]: how it is protected.
//! - [`commands`]: what the other commands do: ask a server, judge files, move data, print.

mod allocator;
mod cli;
mod commands;
mod config;
mod data;
mod http;
mod program;
mod reload;
mod rules;
mod run;
mod snapshots;
mod stores;
mod tenants;
mod tier;
mod web;
mod wiring;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;
use tsdb::query::parser::STACK_BYTES;

use cli::{CheckCommand, Cli, Command, PolicyCommand, TestCommand};
use run::Role;

/// How long blocking work may go on once the roles have ended.
const RUNTIME_GRACE: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr();
    // One provider for every TLS connection of the process; nothing else installs one.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        tracing::warn!("a TLS provider was installed before main");
    }
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            tell(&error);
            ExitCode::FAILURE
        }
    }
}

/// Tells on standard error why nothing came of it.
fn tell(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "taffrail: {}", in_one_line(error));
}

/// An error and its causes. Many say their cause themselves; it is not said twice.
fn in_one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.ends_with(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

/// Messages go to standard error; `TAFFRAIL_LOG` filters them, `info` if it says nothing.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("TAFFRAIL_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("taffrail")
            .thread_stack_size(STACK_BYTES)
            .build()
    };
    let print = |text: String| -> anyhow::Result<ExitCode> {
        // A reader that has seen enough closes the pipe; that is no failure.
        match std::io::stdout().write_all(text.as_bytes()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(ExitCode::SUCCESS),
        }
    };
    let checked = |checked: commands::check_rules::Checked| -> anyhow::Result<ExitCode> {
        print(checked.text)?;
        Ok(if checked.failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    };
    let judged = |judged: commands::policy::Judged| -> anyhow::Result<ExitCode> {
        print(judged.text)?;
        Ok(if judged.refused {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    };
    let role = |args: &cli::RunArgs, role: Role| {
        allocator::begin(role.aim());
        let config = config::Config::load(args)?;
        allocator::settle(config.memory, role.aim());
        let runtime = runtime()?;
        let ended = runtime.block_on(run::run(config, role));
        // What is still at work by now is past its deadline.
        runtime.shutdown_timeout(RUNTIME_GRACE);
        ended.map(|()| ExitCode::SUCCESS)
    };
    match cli.command {
        None => role(&cli.run, Role::All),
        Some(Command::Run(args)) => role(&args, Role::All),
        Some(Command::Server(args)) => role(&args, Role::Server),
        Some(Command::Agent(args)) => role(
            &args.run,
            Role::Agent {
                server: args.server,
                access: args.access,
            },
        ),
        Some(Command::Admission(args)) => role(
            &args.run,
            Role::Admission {
                server: args.server,
                access: args.access,
            },
        ),
        Some(Command::Query(args)) => print(runtime()?.block_on(commands::query::query(&args))?),
        Some(Command::Logs(args)) => print(runtime()?.block_on(commands::logs::logs(&args))?),
        Some(Command::Import(args)) => {
            commands::import::import(&args, &runtime()?)?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Export(args)) => {
            commands::export::export(&args, &runtime()?)?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Snapshot(args)) => {
            print(runtime()?.block_on(commands::snapshot::snapshot(&args))?)
        }
        Some(Command::Policy(PolicyCommand::Check(args))) => {
            judged(commands::policy::check(&args)?)
        }
        Some(Command::Policy(PolicyCommand::Explain(args))) => {
            judged(commands::policy_explain::explain(&args)?)
        }
        Some(Command::Policy(PolicyCommand::Netpol(args))) => {
            let answer = match commands::netpol::netpol(&args) {
                Ok(answer) => answer,
                Err(error) => {
                    // 1 is an answer here.
                    tell(&error);
                    return Ok(ExitCode::from(2));
                }
            };
            print(answer.text)?;
            Ok(if answer.yes {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Some(Command::Policy(PolicyCommand::Bench(args))) => {
            print(commands::policy_bench::bench(&args)?)
        }
        Some(Command::Policy(PolicyCommand::Replay(args))) => {
            match commands::policy_replay::replay(&args, &runtime()?) {
                Ok(replayed) => {
                    print(replayed.text)?;
                    Ok(ExitCode::from(u8::from(replayed.changes)))
                }
                Err(error) => {
                    // 1 is an answer here.
                    tell(&error);
                    Ok(ExitCode::from(2))
                }
            }
        }
        Some(Command::Policy(PolicyCommand::Test(args))) => {
            checked(commands::policy_test::test(&args)?)
        }
        Some(Command::Check {
            what: Some(CheckCommand::Rules { files }),
            ..
        }) => checked(commands::check_rules::check(&files)),
        Some(Command::Test(TestCommand::Rules { files })) => {
            checked(commands::test_rules::test(&files))
        }
        Some(Command::Check { what: None, config }) => {
            let config = config.unwrap_or_default();
            let read = config::reread(&config)?;
            web::Web::open(read.web.clone())?;
            commands::check_rules::configured(&read.rules.files)?;
            print(format!("{}: valid\n", config.display()))
        }
        Some(Command::Version) => print(format!("taffrail {}\n", env!("CARGO_PKG_VERSION"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let cause = || anyhow::anyhow!("no such file");
        let told = |context: &'static str| in_one_line(&cause().context(context));
        assert_eq!(
            told("cannot read a.yaml"),
            "cannot read a.yaml: no such file"
        );
        assert_eq!(
            told("cannot read: no such file"),
            "cannot read: no such file"
        );
    }
}
