//! `vpo hold`: lists mass deletions that wait for a person, and releases them or takes them back. Works on the API
//! server like kubectl, with the rights of the caller.

mod cluster;
mod release;
mod retain;
mod selection;
mod wording;

use std::io::{BufRead as _, Write as _};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use self::cluster::Cluster;
use self::selection::{Held, PlatformSeen, ShownHold, holds};
use super::output::Output;
use super::value::{BadValue, duration};
use crate::plain;

/// The arguments of `vpo hold`.
#[derive(Debug, clap::Args)]
pub struct HoldArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the mass deletions that wait for a person.
    List {
        /// The output format.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Let the deletions of a hold go on: their packages are deleted, which can't be undone.
    Release {
        /// The id of the hold, as printed by `vpo hold list`.
        id: String,

        /// Don't ask for confirmation.
        #[arg(long)]
        yes: bool,

        /// How long the operator may take to act on the release, 0s to 1h.
        #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = timeout)]
        timeout: Duration,
    },
    /// Take the deletions of a hold back: its objects are released without deleting their packages.
    Retain {
        /// The id of the hold, as printed by `vpo hold list`.
        id: String,

        /// Don't ask for confirmation.
        #[arg(long)]
        yes: bool,
    },
}

fn timeout(text: &str) -> Result<Duration, BadValue> {
    let fits = |span: &Duration| *span <= Duration::from_secs(3600);
    duration(text, fits, "is not a duration from 0s to 1h, such as 30s")
}

/// Runs a subcommand of `vpo hold`.
///
/// # Errors
/// The API server refuses a request or can't be reached, the hold doesn't exist, the person doesn't confirm, or a part
/// of the work failed.
pub fn run(args: HoldArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let cluster = Cluster::connect().await?;
        match args.command {
            Command::List { output } => list(&cluster, output).await,
            Command::Release { id, yes, timeout } => {
                release::release(&cluster, &id, yes, timeout).await
            }
            Command::Retain { id, yes } => retain::retain(&cluster, &id, yes).await,
        }
    })
}

/// The JSON output of `list`.
#[derive(Serialize)]
struct Listed<'a> {
    time: Timestamp,
    holds: &'a [ShownHold],
}

async fn list(cluster: &Cluster, output: Output) -> anyhow::Result<()> {
    let holds = Seen::read(cluster).await?.holds();
    let time = Timestamp::now();
    let text = match output {
        Output::Table => wording::table(&holds, time),
        Output::Json => {
            let listed = Listed {
                time,
                holds: &holds,
            };
            format!("{}\n", plain::json(&serde_json::to_string_pretty(&listed)?))
        }
    };
    say(&text)
}

/// The Platforms and held objects of the cluster.
struct Seen {
    platforms: Vec<PlatformSeen>,
    objects: Vec<Held>,
}

impl Seen {
    /// Reads the Platforms first: the objects of a hold are marked after the hold is written to its Platforms.
    async fn read(cluster: &Cluster) -> anyhow::Result<Self> {
        Ok(Self {
            platforms: cluster.platforms().await?,
            objects: cluster.held().await?,
        })
    }

    fn holds(&self) -> Vec<ShownHold> {
        holds(&self.platforms, &self.objects)
    }
}

fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(plain::lines(text).as_bytes())?;
    Ok(out.flush()?)
}

/// Asks the person to type the id, unless `yes`. `verb` is `release` or `retain`.
async fn confirm(verb: &str, id: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    say(&format!("Type the id to {verb}: "))?;
    // A thread of its own keeps the runtime running, so that connections don't go stale while the person thinks.
    let typed = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let typed = typed.await??;
    match typed.trim() {
        typed if typed == id => Ok(()),
        "" => {
            anyhow::bail!("nothing was done: no id was typed (with --yes the command doesn't ask)")
        }
        typed => anyhow::bail!("nothing was done: {typed:?} was typed, not {id}"),
    }
}
