//! What a user types: demo, check, copy, verify, inspect, adopt, mirrors.
//!
//! The only folder that knows both the engine and the machine: it reads files and arguments,
//! starts threads, and says what came of it. Results go to standard output, all else to
//! standard error.
#![expect(
    clippy::disallowed_methods,
    reason = "here the program meets its user: files are read and written for them"
)]

mod adopt;
mod check;
mod copy;
mod demo;
mod engine;
mod inspect;
mod mirrors;
mod plant;
mod screen;
mod serve;
mod text;
mod unregister;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::io::advice;

/// Mirrors Kafka topics, byte for byte and offset for offset.
#[derive(Debug, Parser)]
#[command(name = "twinlog", version, about, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Say less: only errors and the result.
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Say more: twice for everything.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArguments),
    #[command(hide = true)]
    DemoSource(demo::source::SourceArguments),
    Check(check::CheckArguments),
    Copy(copy::CopyArguments),
    Verify(verify::VerifyArguments),
    Inspect(inspect::InspectArguments),
    Adopt(adopt::AdoptArguments),
    Serve(serve::ServeArguments),
    Unregister(unregister::UnregisterArguments),
    Mirrors(mirrors::MirrorsArguments),
}

/// How a command ended.
pub(crate) enum Ending {
    /// What was asked for is done.
    Done,
    /// Something that was asked for was not achieved; what and why has been said.
    Incomplete,
}

/// Why a command did not even begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Misuse {
    /// A configuration file cannot be read.
    #[error("{}: {error}{}", path.display(), advice(error))]
    Unreadable {
        path: PathBuf,
        error: std::io::Error,
    },
    /// A configuration is wrong, in all these places.
    #[error("{}", faults.join("\n"))]
    Config { faults: Vec<String> },
    /// An argument is wrong.
    #[error("{0}")]
    Argument(String),
    /// This machine cannot run it.
    #[error("{0}")]
    Machine(#[from] crate::uring::Fault),
}

/// Runs one command. 0: done; 1: not achieved, standard error says what and why; 2: wrong
/// usage, configuration or machine.
#[must_use]
pub fn run(arguments: Arguments) -> ExitCode {
    screen::begin(arguments.quiet, arguments.verbose);
    if let Err(error) = crate::uring::raise_open_files() {
        tracing::warn!("the limit of open files cannot be raised: {error}");
    }
    let quiet = arguments.quiet;
    let ending = match arguments.command {
        Command::Demo(demo) => demo.run(quiet),
        Command::DemoSource(source) => source.run(),
        Command::Check(check) => check.run(),
        Command::Copy(copy) => copy.run(quiet),
        Command::Verify(verify) => verify.run(quiet),
        Command::Inspect(inspect) => inspect.run(),
        Command::Adopt(adopt) => adopt.run(quiet),
        Command::Serve(serve) => serve.run(),
        Command::Unregister(unregister) => unregister.run(),
        Command::Mirrors(mirrors) => mirrors.run(quiet),
    };
    match ending {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Incomplete) => ExitCode::from(1),
        Err(misuse) => {
            screen::say(&format!("error: {misuse}"));
            ExitCode::from(2)
        }
    }
}

/// The configuration of a file, or the defaults.
fn config(path: Option<&Path>) -> Result<Config, Misuse> {
    let Some(path) = path else {
        return Ok(Config::default());
    };
    let text = std::fs::read_to_string(path).map_err(|error| Misuse::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    Config::parse(&text).map_err(|faults| Misuse::Config {
        faults: faults
            .iter()
            .map(|fault| format!("{}: {fault}", path.display()))
            .collect(),
    })
}
