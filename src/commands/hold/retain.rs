//! `vpo hold retain`: takes the deletions of a hold back, so that the objects of the hold are released and their
//! packages stay.

use futures::{StreamExt as _, stream};
use jiff::Timestamp;

use super::cluster::Cluster;
use super::selection::{Held, Set, part_of};
use super::{Seen, confirm, say, wording};

/// How many objects are written at the same time.
const AT_ONCE: usize = 8;

/// Sets `deletionPolicy: Retain` on the objects of a hold, and on no others.
pub async fn retain(cluster: &Cluster, id: &str, yes: bool) -> anyhow::Result<()> {
    let seen = Seen::read(cluster).await?;
    let holds = seen.holds();
    let hold = holds.iter().find(|hold| hold.id == id);
    let objects: Vec<&Held> = part_of(id, &seen.objects).collect();
    match (hold, objects.is_empty()) {
        (None, true) => anyhow::bail!(wording::unknown(id, &holds)),
        (Some(_), true) => anyhow::bail!(
            "no VersionPackage names the hold {id} in its status yet: the operator writes the id into one object after the other. Try again in a moment"
        ),
        (_, false) => {}
    }
    say(&wording::before_retain(hold, &objects, Timestamp::now()))?;
    confirm("retain", id, yes).await?;
    let ends: Vec<(&Held, Set)> = stream::iter(objects)
        .map(async |object| (object, cluster.retain(object).await))
        .buffered(AT_ONCE)
        .collect()
        .await;
    say(&wording::after_retain(&ends))?;
    let refused = ends
        .iter()
        .filter(|(_, set)| matches!(set, Set::Refused(_)))
        .count();
    anyhow::ensure!(
        refused == 0,
        "deletionPolicy: Retain was refused for {} of {}",
        wording::many(refused, wording::PACKAGE),
        ends.len()
    );
    Ok(())
}
