//! `vpo hold release`: lets the deletions of a hold go on.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::cluster::Cluster;
use super::selection::{
    Held, PlatformSeen, Release, ReleaseProgress, part_of, progress, release as at,
};
use super::{Seen, confirm, say, wording};
use crate::api::names::{ObjectKey, RELEASE_HOLD_ANNOTATION};

/// How long the operator may take to show the end of a hold on all Platforms that count together.
const TOLD_WITHIN: Duration = Duration::from_secs(3);
/// The pause between two checks of the operator's progress.
const PAUSE: Duration = Duration::from_millis(250);

/// Requests the release of a hold and waits until the operator has acted.
pub async fn release(
    cluster: &Cluster,
    id: &str,
    yes: bool,
    timeout: Duration,
) -> anyhow::Result<()> {
    let seen = Seen::read(cluster).await?;
    let holds = seen.holds();
    let mut platform = match at(id, &seen.platforms) {
        Release::On(platform) => platform.clone(),
        Release::Done(released) => {
            return say(&format!(
                "Hold {id} was released before, at {:.0}.\n",
                released.time.0
            ));
        }
        Release::Unknown => anyhow::bail!(wording::unknown(id, &holds)),
    };
    let objects: Vec<&Held> = part_of(id, &seen.objects).collect();
    if let Some(hold) = holds.iter().find(|hold| hold.id == id) {
        say(&wording::before_release(hold, &objects, Timestamp::now()))?;
    }
    confirm("release", id, yes).await?;
    if !yes {
        let shown = objects.iter().map(|object| object.uid.clone()).collect();
        confirm_newcomers(cluster, id, shown).await?;
    }
    let (mut asked, mut freed) = (HashSet::new(), None);
    loop {
        cluster.ask_for_release(id, &platform).await?;
        let key = &platform.key;
        match acted(cluster, id, &platform, timeout).await? {
            ReleaseProgress::Released(count) => freed = Some(freed.unwrap_or(0) + count),
            ReleaseProgress::Over => {}
            ReleaseProgress::Gone => anyhow::bail!(
                "Platform {key} is gone; `vpo hold list` tells whether the hold still stands"
            ),
            ReleaseProgress::Pending => anyhow::bail!(
                "the operator has not acted within {timeout:?}. The annotation {RELEASE_HOLD_ANNOTATION} stays on Platform {key}, and the release counts as soon as the operator acts on it. Check that an operator runs and leads"
            ),
        }
        asked.insert(platform.key);
        match also_held(cluster, id, &asked).await? {
            Some(other) => platform = other,
            None => break,
        }
    }
    match freed {
        Some(count) => say(&format!(
            "Hold {id} is released: {} go on, as fast as the quota allows.\n",
            wording::many(count, "deletion")
        )),
        None => say(&format!(
            "Hold {id} is over: nothing is held by it any more.\n"
        )),
    }
}

/// Returns a Platform that isn't in `asked` and still shows the hold after [`TOLD_WITHIN`]; `asked` are the Platforms
/// on which the release was requested. Within that time, each Platform that counts together with one of them shows the
/// end of the hold. So the returned Platform belongs to another group, and the part of the hold in that group needs its
/// own release.
async fn also_held(
    cluster: &Cluster,
    id: &str,
    asked: &HashSet<ObjectKey>,
) -> anyhow::Result<Option<PlatformSeen>> {
    let end = Instant::now() + TOLD_WITHIN;
    loop {
        let seen = Seen::read(cluster).await?;
        let other = match at(id, &seen.platforms) {
            Release::On(platform) => Some(platform).filter(|other| !asked.contains(&other.key)),
            Release::Done(_) | Release::Unknown => None,
        };
        if other.is_none() || Instant::now() >= end {
            return Ok(other.cloned());
        }
        sleep(PAUSE).await;
    }
}

/// Shows the objects that have joined the hold since the hold was last shown, and asks for confirmation. A release
/// frees every object that has the id of the hold when the operator reads the annotation.
async fn confirm_newcomers(
    cluster: &Cluster,
    id: &str,
    mut shown: HashSet<String>,
) -> anyhow::Result<()> {
    loop {
        let held = cluster.held().await?;
        let (known, new): (Vec<&Held>, Vec<&Held>) =
            part_of(id, &held).partition(|object| shown.contains(&object.uid));
        if new.is_empty() {
            return Ok(());
        }
        say(&wording::more_to_release(&new, known.len() + new.len()))?;
        confirm("release", id, false).await?;
        shown.extend(new.iter().map(|object| object.uid.clone()));
    }
}

/// Waits until the release on `platform` is no longer pending, at most `timeout`. Returns the progress of the release.
async fn acted(
    cluster: &Cluster,
    id: &str,
    platform: &PlatformSeen,
    timeout: Duration,
) -> anyhow::Result<ReleaseProgress> {
    let end = Instant::now() + timeout;
    loop {
        let now = cluster.platform(&platform.key).await?;
        let said = progress(id, &platform.uid, now.as_ref());
        if said != ReleaseProgress::Pending || Instant::now() >= end {
            return Ok(said);
        }
        sleep(PAUSE.min(end.saturating_duration_since(Instant::now()))).await;
    }
}
