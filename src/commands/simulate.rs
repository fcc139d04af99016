//! `vpo simulate`: the stand-in of the platform.

/// The settings of the simulator.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the simulator until it is told to stop.
///
/// # Errors
/// When it can't start.
pub fn run(_: Args) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
