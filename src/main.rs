//! `vpo`: parses the command line, runs one command and maps its end to an exit code.

use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use clap::{Parser, Subcommand};
use version_package_operator::commands;
use version_package_operator::plain::plain;

/// Deletes device version packages from an OceanConnect IoT platform when Git means it.
#[derive(Parser)]
#[command(name = "vpo", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the operator.
    Run(commands::run::RunArgs),
    /// Print the CustomResourceDefinitions as YAML.
    Crds,
    /// Print who waits for a call to the platform, in which order and about how long.
    Queue(commands::queue::QueueArgs),
    /// List mass deletions that wait for a person, release one, or take one back.
    Hold(commands::hold::HoldArgs),
    /// Print which packages on the platform no object stands for, and when that was read.
    Inventory(commands::inventory::InventoryArgs),
    /// Run a stand-in of the platform, for tests and for trying things out.
    Simulate(Box<commands::simulate::SimulateArgs>),
}

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Run(args) => commands::run::run(args),
        Command::Crds => commands::crds::run(),
        Command::Queue(args) => commands::queue::run(&args),
        Command::Hold(args) => commands::hold::run(args),
        Command::Inventory(args) => commands::inventory::run(&args),
        Command::Simulate(args) => commands::simulate::run(*args),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format!("vpo: {}", plain(&format!("{error:#}"))));
            ExitCode::FAILURE
        }
    }
}

/// Says why the process ends, but doesn't wait for ever for somebody to read it.
fn say(text: String) {
    let (done, said) = channel();
    thread::spawn(move || {
        eprintln!("{text}");
        done.send(())
    });
    let _ = said.recv_timeout(Duration::from_secs(1));
}
