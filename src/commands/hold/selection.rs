//! Finds the holds and the objects that belong to each. Pure.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::api::names::{AppId, ObjectKey};
use crate::api::platform::{HoldStatus, PlatformStatus, ReleasedHold};
use crate::object::Object;

/// The fields of a `Platform` that matter for holds.
#[derive(Debug, Clone, PartialEq)]
pub struct PlatformSeen {
    /// Namespace and name.
    pub key: ObjectKey,
    /// The uid, which differs between Platforms of the same name.
    pub uid: String,
    /// Whether the Platform is being deleted.
    pub terminating: bool,
    /// The status.
    pub status: PlatformStatus,
}

impl PlatformSeen {
    /// The application whose deletions are held.
    pub fn application(&self) -> Option<&AppId> {
        let guarded = self.status.guard.as_ref();
        let known = self.status.session.as_ref();
        guarded
            .and_then(|guard| guard.application.as_ref())
            .or_else(|| known.and_then(|session| session.app_id.as_ref()))
    }

    /// The hold with this id; `None` if the Platform doesn't show it.
    pub fn hold(&self, id: &str) -> Option<&HoldStatus> {
        self.status.hold.as_ref().filter(|hold| hold.id == id)
    }

    /// The release of the hold with this id; `None` if the Platform doesn't record one.
    pub fn released(&self, id: &str) -> Option<&ReleasedHold> {
        let released = &self.status.guard.as_ref()?.released;
        released.iter().find(|released| released.id == id)
    }
}

/// A `VersionPackage` that carries the id of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Namespace and name.
    pub key: ObjectKey,
    /// The uid, which differs between objects of the same name.
    pub uid: String,
    /// The resourceVersion that was read.
    pub resource_version: String,
    /// The id of the hold.
    pub hold: String,
    /// Whether the object is being deleted; otherwise it is retired.
    pub terminating: bool,
    /// Whether the package stays when the object is deleted.
    pub retained: bool,
}

impl Held {
    /// The fields that matter for a hold; `None` for an object without one.
    pub fn read(object: &Object) -> Option<Self> {
        let deletion = object.status.deletion.as_ref()?;
        Some(Self {
            key: object.key.clone(),
            uid: object.uid.clone(),
            resource_version: object.resource_version.clone(),
            hold: deletion.hold.clone()?,
            terminating: object.deleted_at.is_some(),
            retained: object.is_retained(),
        })
    }
}

/// One hold, merged from all Platforms that show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownHold {
    /// The id of the hold.
    pub id: String,
    /// The application whose deletions are held.
    pub application: Option<AppId>,
    /// The Platforms that show the hold, as `namespace/name`, sorted.
    pub platforms: Vec<String>,
    /// When the hold began.
    pub since: Timestamp,
    /// The number of held deletions.
    pub count: usize,
    /// The number of deletions counted against the bound.
    pub counted: usize,
    /// The number of deletions that the bound allows.
    pub bound: usize,
    /// The Platform that sets the bound.
    pub bound_of: String,
    /// The exceeded bound, in one sentence.
    pub reason: String,
    /// The number of objects that carry the id in their status by now.
    pub objects: usize,
}

/// Every hold that a Platform shows, sorted by id.
pub fn holds(platforms: &[PlatformSeen], objects: &[Held]) -> Vec<ShownHold> {
    let mut holds = BTreeMap::<&str, ShownHold>::new();
    for platform in platforms {
        let Some(shown) = &platform.status.hold else {
            continue;
        };
        let hold = holds
            .entry(&shown.id)
            .or_insert_with(|| ShownHold::new(shown, objects));
        // Statuses of Platforms are written one after the other; the highest count is the newest.
        if number(shown.counted) > hold.counted {
            let platforms = std::mem::take(&mut hold.platforms);
            let application = hold.application.take();
            *hold = ShownHold {
                application,
                platforms,
                ..ShownHold::new(shown, objects)
            };
        }
        hold.platforms.push(platform.key.to_string());
        hold.application = hold
            .application
            .take()
            .or_else(|| platform.application().cloned());
    }
    let mut holds: Vec<ShownHold> = holds.into_values().collect();
    for hold in &mut holds {
        hold.platforms.sort();
    }
    holds
}

impl ShownHold {
    fn new(shown: &HoldStatus, objects: &[Held]) -> Self {
        Self {
            id: shown.id.clone(),
            application: None,
            platforms: Vec::new(),
            since: shown.since.0,
            count: number(shown.count),
            counted: number(shown.counted),
            bound: number(shown.bound),
            bound_of: shown.platform.clone(),
            reason: shown.reason.clone(),
            objects: part_of(&shown.id, objects).count(),
        }
    }
}

/// The objects that carry the id of a hold.
pub fn part_of<'a>(id: &str, objects: &'a [Held]) -> impl Iterator<Item = &'a Held> {
    objects.iter().filter(move |object| object.hold == id)
}

/// Where a hold can be released.
#[derive(Debug, PartialEq)]
pub enum Release<'a> {
    /// On this Platform, by an annotation.
    On(&'a PlatformSeen),
    /// Nowhere: the hold is released already.
    Done(&'a ReleasedHold),
    /// Nowhere: no Platform shows a hold with this id.
    Unknown,
}

/// Where the hold with this id can be released: on any Platform that shows the hold and records no release of it. A
/// Platform that isn't being deleted is preferred.
pub fn release<'a>(id: &str, platforms: &'a [PlatformSeen]) -> Release<'a> {
    // After a group of Platforms has split, each part has a hold of its own: a release of one part says nothing about
    // the others.
    let showing = platforms
        .iter()
        .filter(|platform| platform.hold(id).is_some() && platform.released(id).is_none());
    if let Some(platform) = showing.min_by_key(|platform| (platform.terminating, &platform.key)) {
        return Release::On(platform);
    }
    let mut told = platforms
        .iter()
        .filter_map(|platform| platform.released(id));
    told.next().map_or(Release::Unknown, Release::Done)
}

/// The progress of a release on one Platform.
#[derive(Debug, PartialEq, Eq)]
pub enum ReleaseProgress {
    /// The operator hasn't acted yet.
    Pending,
    /// The hold is released. The value is the number of freed deletions.
    Released(usize),
    /// The hold has ended without a record of a release.
    Over,
    /// The Platform no longer exists.
    Gone,
}

/// The progress of a release on the Platform with this uid.
pub fn progress(id: &str, uid: &str, platform: Option<&PlatformSeen>) -> ReleaseProgress {
    let Some(platform) = platform.filter(|platform| platform.uid == uid) else {
        return ReleaseProgress::Gone;
    };
    match (platform.released(id), platform.hold(id)) {
        (Some(released), _) => ReleaseProgress::Released(number(released.count)),
        (None, Some(_)) => ReleaseProgress::Pending,
        (None, None) => ReleaseProgress::Over,
    }
}

/// The result of setting the deletion policy of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Set {
    /// The policy was set to `Retain`.
    Done,
    /// The policy was `Retain` already.
    Already,
    /// The object no longer exists, or another one has its name.
    Gone,
    /// The object is no longer part of the hold.
    Left,
    /// The API server refused the write. The value is the message of the API server.
    Refused(String),
}

/// The present version of the object, to repeat a write that met a conflict. `Err` if the write is no longer needed.
pub fn anew(before: &Held, now: Option<&Object>) -> Result<Held, Set> {
    let now = now.filter(|now| now.uid == before.uid).ok_or(Set::Gone)?;
    match Held::read(now) {
        Some(now) if now.hold == before.hold => Ok(now),
        Some(_) | None => Err(Set::Left),
    }
}

fn number(count: i32) -> usize {
    usize::try_from(count).unwrap_or(0)
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::object::watched::Watched;

    pub(crate) fn platform(name: &str, status: Value) -> PlatformSeen {
        PlatformSeen {
            key: ObjectKey::new("iot", name),
            uid: format!("uid-{name}"),
            terminating: false,
            status: serde_json::from_value(status).unwrap(),
        }
    }

    pub(crate) fn hold(id: &str, counted: i32) -> Value {
        json!({
            "id": id, "since": "2026-11-23T12:00:00Z", "count": counted - 10, "counted": counted,
            "reason": "more than 50 deletions within 10m", "platform": "iot/production",
            "platformUid": "uid-production", "bound": 50,
        })
    }

    fn object(name: &str, uid: &str, deletion: &Value) -> Object {
        let object = json!({
            "metadata": {
                "namespace": "fleet", "name": name, "uid": uid, "resourceVersion": "7",
                "deletionTimestamp": "2026-11-23T12:00:00Z",
            },
            "spec": {
                "fileId": "f", "platformRef": {"name": "production"},
                "lifecycle": "Active", "deletionPolicy": "Delete",
            },
            "status": {"uid": uid, "deletion": deletion},
        });
        serde_json::from_value::<Watched>(object).unwrap().into()
    }

    pub(crate) fn held(name: &str, hold: &str) -> Held {
        Held::read(&object(
            name,
            &format!("uid-{name}"),
            &json!({"hold": hold}),
        ))
        .unwrap()
    }

    fn held_by(id: &str, counted: i32, application: &str) -> Value {
        json!({"hold": hold(id, counted), "guard": {"application": application}})
    }

    #[test]
    fn a_hold_on_several_platforms_is_one_hold_with_the_newest_count() {
        let platforms = [
            platform("test", held_by("h-1", 60, "app-1")),
            platform("production", held_by("h-1", 70, "app-1")),
            platform("other", held_by("h-2", 55, "app-2")),
            platform("idle", json!({})),
        ];
        let objects = [
            held("a", "h-1"),
            held("b", "h-1"),
            held("c", "h-2"),
            held("d", "h-0"),
        ];
        let holds = holds(&platforms, &objects);
        let told = |hold: &ShownHold| {
            let application = hold.application.clone().unwrap().to_string();
            (hold.id.clone(), application, hold.counted, hold.objects)
        };
        assert_eq!(
            holds.iter().map(told).collect::<Vec<_>>(),
            [
                ("h-1".to_owned(), "app-1".to_owned(), 70, 2),
                ("h-2".to_owned(), "app-2".to_owned(), 55, 1),
            ]
        );
        assert_eq!(holds[0].platforms, ["iot/production", "iot/test"]);
    }

    #[test]
    fn an_object_without_a_hold_is_part_of_none() {
        assert_eq!(Held::read(&object("a", "u", &json!({}))), None);
        assert_eq!(Held::read(&object("a", "u", &Value::Null)), None);
        let objects = [held("a", "h-1"), held("b", "h-11")];
        assert_eq!(part_of("h-1", &objects).collect::<Vec<_>>(), [&objects[0]]);
    }

    #[test]
    fn a_release_prefers_a_platform_that_stays_and_goes_once_to_each_part() {
        let going = PlatformSeen {
            terminating: true,
            ..platform("a", held_by("h-1", 60, "app-1"))
        };
        let staying = platform("b", held_by("h-1", 60, "app-1"));
        let platforms = [going.clone(), staying.clone()];
        assert_eq!(release("h-1", &platforms), Release::On(&staying));
        assert_eq!(release("h-1", &platforms[..1]), Release::On(&going));
        assert_eq!(release("h-2", &platforms), Release::Unknown);

        let told = json!({"guard": {"released": [{"id": "h-1", "time": "2026-11-23T12:05:00Z", "count": 50}]}});
        let parted = [staying.clone(), platform("c", told.clone())];
        assert_eq!(release("h-1", &parted), Release::On(&staying));
        let platforms = [platform("c", told)];
        assert!(
            matches!(release("h-1", &platforms), Release::Done(released) if released.count == 50)
        );
    }

    #[test]
    fn the_progress_of_a_release_is_that_of_the_asked_platform_and_of_no_other_with_its_name() {
        let uid = "uid-a";
        let held = platform("a", held_by("h-1", 60, "app-1"));
        assert_eq!(progress("h-1", uid, Some(&held)), ReleaseProgress::Pending);
        let told = json!({
            "hold": hold("h-2", 10),
            "guard": {"released": [{"id": "h-1", "time": "2026-11-23T12:05:00Z", "count": 50}]},
        });
        let released = platform("a", told);
        assert_eq!(
            progress("h-1", uid, Some(&released)),
            ReleaseProgress::Released(50)
        );
        assert_eq!(
            progress("h-1", uid, Some(&platform("a", json!({})))),
            ReleaseProgress::Over
        );
        let another = PlatformSeen {
            uid: "another".to_owned(),
            ..released
        };
        assert_eq!(progress("h-1", uid, Some(&another)), ReleaseProgress::Gone);
        assert_eq!(progress("h-1", uid, None), ReleaseProgress::Gone);
    }

    #[test]
    fn an_object_that_changed_is_written_only_while_it_is_the_same_and_part_of_the_hold() {
        let before = held("a", "h-1");
        let end = |object: Option<Object>| anew(&before, object.as_ref()).map(|now| now.uid);
        let same = |deletion: Value| Some(object("a", "uid-a", &deletion));
        assert_eq!(end(same(json!({"hold": "h-1"}))), Ok("uid-a".to_owned()));
        assert_eq!(end(same(json!({"hold": "h-2"}))), Err(Set::Left));
        assert_eq!(end(same(json!({}))), Err(Set::Left));
        assert_eq!(
            end(Some(object("a", "new", &json!({"hold": "h-1"})))),
            Err(Set::Gone)
        );
        assert_eq!(end(None), Err(Set::Gone));
    }
}
