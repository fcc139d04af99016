//! `vpo hold`: mass deletions that wait for a person, for the one who decides. A client of the API server like kubectl,
//! with the rights of whoever calls it.

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

/// What is to be done with holds.
#[derive(Debug, clap::Args)]
pub struct HoldArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the mass deletions that wait for a person.
    List {
        /// How they are printed.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Let the deletions of a hold go on: their packages are deleted, for ever.
    Release {
        /// The id of the hold, as `vpo hold list` tells it.
        id: String,

        /// Don't ask.
        #[arg(long)]
        yes: bool,

        /// How long the operator may take to act on it, 0s to 1h.
        #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = timeout)]
        timeout: Duration,
    },
    /// Take the deletions of a hold back: its objects go without their packages.
    Retain {
        /// The id of the hold, as `vpo hold list` tells it.
        id: String,

        /// Don't ask.
        #[arg(long)]
        yes: bool,
    },
}

fn timeout(text: &str) -> Result<Duration, BadValue> {
    let fits = |span: &Duration| *span <= Duration::from_secs(3600);
    duration(text, fits, "is not a duration from 0s to 1h, such as 30s")
}

/// Does what is asked.
///
/// # Errors
/// When the API server refuses or can't be reached, there is no such hold, nobody confirms, or not all could be done.
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

/// What `list` says to programs.
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

/// Everything about holds that the cluster shows.
struct Seen {
    platforms: Vec<PlatformSeen>,
    objects: Vec<Held>,
}

impl Seen {
    /// Objects last: those that a hold on a Platform speaks of are written after it.
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

/// Has the id typed, unless `yes`. `verb` is `release` or `retain`.
async fn confirm(verb: &str, id: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    say(&format!("Type the id to {verb}: "))?;
    // Beside the runtime, so that connections don't go stale while somebody thinks.
    let typed = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let typed = typed.await??;
    match typed.trim() {
        typed if typed == id => Ok(()),
        "" => {
            anyhow::bail!("nothing was done: no id was typed (--yes does it without the question)")
        }
        typed => anyhow::bail!("nothing was done: {typed:?} was typed, not {id}"),
    }
}
