//! `vpo run`: the operator.

/// The settings of the operator.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the operator until it is told to stop.
///
/// # Errors
/// When it can't start.
pub fn run(_: Args) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
