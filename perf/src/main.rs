//! Measurements of the engine against its floor.
#![expect(
    clippy::disallowed_methods,
    reason = "it stands outside the engine and needs the real clock, files and sockets"
)]

mod batches;
mod broker;
mod copy;
mod floor;
mod listening;
mod memory;
mod peers;
mod poll;
mod process;
mod size;
mod spread;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures the engine against its floor.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// CPU seconds per GiB and speed of `twinlog copy`, in pairs with the floor loop.
    Copy(copy::Options),
    /// The same beside a stock follower and MirrorMaker 2, all from one real broker.
    Peers(peers::Options),
    /// What idle partitions cost the engine and a stock follower.
    Idle(peers::idle::Options),
    /// What it costs to be followed by stock brokers, beside a stock leader.
    Serve(peers::serving::Options),
    /// A source broker that replays record batches from memory; prints its port.
    Broker(broker::Options),
    /// Sends bytes to the first who connects; prints its port.
    Sender(floor::SenderOptions),
    /// The floor loop: receives bytes, writes them to a file, and syncs it.
    Floor(floor::LoopOptions),
    /// Fills memory and frees it so that it stays there for other processes.
    Hold(memory::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("perf: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::Copy(options) => copy::run(&options)?,
        Command::Peers(options) => peers::run(options)?,
        Command::Idle(options) => peers::idle::run(&options)?,
        Command::Serve(options) => peers::serving::run(&options)?,
        Command::Broker(options) => broker::run(&options)?,
        Command::Sender(options) => floor::send(&options)?,
        Command::Floor(options) => floor::receive(&options)?,
        Command::Hold(options) => memory::hold(&options)?,
    }
    Ok(())
}
