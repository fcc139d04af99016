//! `vpo`: parses the command line, runs one command and maps its result to an exit code.

use std::env;
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use version_package_operator::commands;
use version_package_operator::plain::plain;

/// Deletes device version packages from an OceanConnect IoT platform when their objects are deleted or retired.
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
    /// Print the objects that wait for a call to the platform, in their order and with their estimated wait.
    Queue(commands::queue::QueueArgs),
    /// List mass deletions that wait for a person, release one, or call one off.
    Hold(commands::hold::HoldArgs),
    /// Print the packages on the platform that no object stands for, and when the list was read.
    Inventory(commands::inventory::InventoryArgs),
    /// Run a simulator of the platform, for tests and demos.
    Simulate(Box<commands::simulate::SimulateArgs>),
}

fn main() -> ExitCode {
    let ended = match command() {
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

/// The command that the arguments and the environment select. Ends the process if the arguments are wrong or ask for
/// help.
fn command() -> Command {
    let command = commands::ignore_empty_environment(Cli::command(), |name| env::var_os(name));
    let cli = Cli::from_arg_matches(&command.get_matches());
    cli.unwrap_or_else(|error| error.exit()).command
}

/// Prints `text`, which says why the process ends. Waits at most a second, since standard error may block.
fn say(text: String) {
    let (done, said) = channel();
    thread::spawn(move || {
        eprintln!("{text}");
        done.send(())
    });
    let _ = said.recv_timeout(Duration::from_secs(1));
}
