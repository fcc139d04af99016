use super::*;

/// Longer than a brief failure.
const LASTS: Duration = Duration::from_secs(10);

fn lacking(why: &str) -> Result<Compared, Unfit> {
    Err(Unfit {
        why: why.to_owned(),
        what: why.to_owned(),
        lossy: true,
    })
}

#[expect(clippy::unnecessary_wraps, reason = "a comparison, as it is told")]
fn fit(generation: i64) -> Result<Compared, Unfit> {
    Ok(Compared {
        uid: "u".to_owned(),
        generation,
    })
}

/// A loss since version 40; `of` is the object that is doubted by now, with its edits.
fn lacks_x(of: Option<(&str, i64)>) -> Loss {
    Loss {
        what: "it lacks x".to_owned(),
        since: 40,
        of: of.map(|(uid, edits)| [(uid.to_owned(), edits)].into()),
    }
}

fn listed(sight: &Arc<Sight>, but: &[WatchKind]) {
    for kind in WatchKind::ALL {
        if !but.contains(&kind) {
            sight.eye(kind).listed();
        }
    }
}

/// A sight in which every watch has listed and both definitions are complete.
fn seeing() -> Arc<Sight> {
    let sight = Arc::new(Sight::default());
    for kind in WatchKind::DEFINITIONS {
        assert!(!sight.define(kind, fit(1), Instant::now()));
    }
    listed(&sight, &[]);
    assert_eq!(sight.hindrance(), None);
    sight
}

#[test]
fn while_a_field_is_missing_and_until_all_is_listed_anew_nothing_is_sent() {
    let sight = seeing();
    let now = Instant::now();
    let lacks = lacking("it lacks .spec.mode");
    assert!(sight.define(WatchKind::PlatformDefinition, lacks, now));
    assert_eq!(sight.hindrance().as_deref(), Some("it lacks .spec.mode"));
    assert!(!sight.may_write(WatchKind::Platforms) && sight.may_write(WatchKind::Packages));
    assert_eq!(sight.settles(), None);
    assert!(sight.define(WatchKind::PlatformDefinition, fit(3), now));
    assert!(sight.hindrance().is_some() && !sight.may_write(WatchKind::Platforms));
    assert_eq!(sight.settles(), Some(now + SETTLES));
    sight.settled(now + SETTLES);
    assert_eq!(sight.settles(), None);
    assert_eq!(sight.graces_since(), Some(now + SETTLES));
    assert!(sight.may_write(WatchKind::Platforms));
    listed(&sight, &[WatchKind::Namespaces]);
    let why = sight.hindrance().unwrap();
    assert!(why.contains("Namespaces"), "{why}");
    listed(&sight, &[]);
    assert_eq!(sight.hindrance(), None);
}

#[test]
fn only_a_list_that_began_since_counts() {
    let sight = seeing();
    let (mut late, others) = (sight.eye(WatchKind::Packages), [WatchKind::Packages]);
    sight.begin_anew("the store went back", Instant::now());
    listed(&sight, &others);
    late.listed();
    assert!(sight.hindrance().is_some());
    late.begins();
    late.listed();
    assert_eq!(sight.hindrance(), None);
}

#[test]
fn a_watch_that_may_have_missed_something_hinders_until_its_next_list() {
    let sight = seeing();
    let eye = sight.eye(WatchKind::Packages);
    eye.blind();
    eye.works();
    assert!(sight.hindrance().is_some());
    eye.listed();
    assert_eq!(sight.hindrance(), None);
    sight.eye_on(secret()).blind();
    assert_eq!(sight.hindrance(), None);
}

fn secret() -> ObjectKey {
    ObjectKey::new("iot", "iot-app")
}

#[tokio::test(start_paused = true)]
async fn the_watch_of_a_secret_that_fails_for_long_is_told_of_that_secret_alone() {
    let sight = seeing();
    let eye = sight.eye_on(secret());
    let told = |of: &ObjectKey| {
        let mut troubles = sight.secret_troubles(LASTS, Instant::now());
        troubles.remove(of).map(|trouble| trouble.words)
    };
    for _ in 0..2 {
        eye.fails("no etcd".to_owned());
        assert_eq!(told(&secret()), None);
        tokio::time::advance(LASTS).await;
        let words = "the watch of Secret iot/iot-app fails: no etcd";
        assert_eq!(told(&secret()).as_deref(), Some(words));
        assert_eq!(told(&ObjectKey::new("iot", "other")), None);
        assert_eq!(sight.trouble(LASTS, Instant::now()), None);
        eye.works();
        assert_eq!(told(&secret()), None);
    }
    eye.fails("no etcd".to_owned());
    tokio::time::advance(LASTS).await;
    drop(eye);
    assert_eq!(told(&secret()), None, "nobody watches it any more");
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_long_is_told_until_it_works() {
    let sight = seeing();
    let eye = sight.eye(WatchKind::Platforms);
    let trouble = |sight: &Sight| sight.trouble(LASTS, Instant::now());
    let told = |sight: &Sight| trouble(sight).map(|trouble| trouble.words);
    let begun = Instant::now();
    eye.fails("forbidden".to_owned());
    assert_eq!(told(&sight), None);
    tokio::time::advance(LASTS).await;
    eye.fails("still forbidden".to_owned());
    let words = told(&sight).unwrap();
    assert!(words.contains("Platforms") && words.ends_with("still forbidden"));
    assert_eq!(trouble(&sight).unwrap().since, begun);
    eye.works();
    sight.lease(Some("forbidden".to_owned()), Instant::now());
    assert_eq!(told(&sight), None);
    tokio::time::advance(LASTS).await;
    sight.lease(Some("forbidden".to_owned()), Instant::now());
    assert!(told(&sight).unwrap().contains("Lease"));
    sight.lease(None, Instant::now());
    assert_eq!(told(&sight), None);
}

#[test]
fn what_was_written_since_the_last_sight_of_a_complete_definition_is_doubted() {
    let sight = seeing();
    let now = Instant::now();
    sight.eye(WatchKind::PackageDefinition).at(40);
    sight.define(WatchKind::PackageDefinition, lacking("it lacks x"), now);
    sight.eye(WatchKind::PackageDefinition).at(50);
    sight.define(WatchKind::PackageDefinition, fit(3), now);
    sight.settled(now);
    let object = |version| Lineage {
        uid: format!("of-{version}"),
        version,
        ..Lineage::default()
    };
    let doubts = |kind, version| sight.doubts(kind, &object(version), true);
    assert_eq!(doubts(WatchKind::Packages, 40), None);
    assert_eq!(
        doubts(WatchKind::Packages, 41).as_deref(),
        Some("it lacks x")
    );
    assert_eq!(doubts(WatchKind::Platforms, 41), None, "another kind");
    sight.eye(WatchKind::Packages).listed();
    assert_eq!(doubts(WatchKind::Packages, 60), None, "a later list");
}

#[test]
fn nothing_is_lost_while_a_definition_is_not_there() {
    let object = Lineage {
        version: 60,
        ..Lineage::default()
    };
    let sight = seeing();
    let now = Instant::now();
    let gone = Err(Unfit {
        why: "it is not there".to_owned(),
        what: "it is not there".to_owned(),
        lossy: false,
    });
    assert!(sight.define(WatchKind::PackageDefinition, gone, now));
    assert!(sight.hindrance().is_some() && !sight.may_write(WatchKind::Packages));
    sight.define(WatchKind::PackageDefinition, fit(1), now);
    sight.settled(now);
    assert_eq!(sight.doubts(WatchKind::Packages, &object, true), None);
}

#[test]
fn a_process_that_starts_while_a_field_is_missing_doubts_what_is_written_from_then_on() {
    let sight = Arc::new(Sight::default());
    let now = Instant::now();
    let eye = sight.eye(WatchKind::PackageDefinition);
    eye.lists_until(40);
    sight.define(WatchKind::PackageDefinition, lacking("it lacks x"), now);
    eye.at(40);
    eye.listed();
    assert!(!sight.is_served());
    sight.define(WatchKind::PackageDefinition, fit(2), now);
    sight.settled(now);
    let doubts = |version| {
        let object = Lineage {
            uid: format!("of-{version}"),
            version,
            ..Lineage::default()
        };
        sight.doubts(WatchKind::Packages, &object, true)
    };
    assert_eq!(doubts(40), None, "written before this process looked");
    assert_eq!(doubts(41).as_deref(), Some("it lacks x"));
}

#[test]
fn a_later_list_of_a_definition_does_not_hide_what_came_before_it() {
    let sight = seeing();
    let now = Instant::now();
    let eye = sight.eye(WatchKind::PackageDefinition);
    eye.at(40);
    eye.lists_until(60);
    sight.define(WatchKind::PackageDefinition, lacking("it lacks x"), now);
    sight.define(WatchKind::PackageDefinition, fit(3), now);
    sight.settled(now);
    let object = Lineage {
        version: 50,
        ..Lineage::default()
    };
    assert!(sight.doubts(WatchKind::Packages, &object, true).is_some());
}

#[test]
fn what_the_process_before_saw_of_a_loss_is_doubted_and_told_on_until_the_statuses_say_it() {
    let now = Instant::now();
    let loss = lacks_x(None);
    let losses = Losses::from([(WatchKind::PackageDefinition, loss)]);
    let object = |version, said| Lineage {
        uid: format!("of-{version}"),
        version,
        said,
        ..Lineage::default()
    };
    // The definition is complete again before this process hears of the loss, or after.
    let (known, unknown) = (seeing(), Arc::new(Sight::default()));
    for sight in [known, unknown] {
        sight.recall(losses.clone(), now);
        sight.define(WatchKind::PackageDefinition, fit(3), now);
        assert!(!sight.may_write(WatchKind::Packages));
        assert!(sight.hindrance().is_some());
        assert_eq!(*sight.losses().borrow(), losses);
        assert_eq!(sight.settles(), Some(now + SETTLES));
        sight.settled(now + SETTLES);
        let doubts = |version, said| {
            let object = object(version, said);
            sight.doubts(WatchKind::Packages, &object, true).is_some()
        };
        assert_eq!((doubts(40, false), doubts(41, false)), (false, true));
        let mut eye = sight.eye(WatchKind::Packages);
        eye.begins();
        eye.listed();
        let of = lacks_x(Some(("of-41", 0)));
        let of = Losses::from([(WatchKind::PackageDefinition, of)]);
        assert_eq!(*sight.losses().borrow(), of, "no status says it yet");
        assert!(doubts(41, true));
        assert_eq!(*sight.losses().borrow(), Losses::new());
    }
}

#[test]
fn the_objects_that_the_process_before_doubted_are_doubted_after_a_list_and_nobody_else() {
    let now = Instant::now();
    let loss = lacks_x(Some(("u", 1)));
    let losses = Losses::from([(WatchKind::PackageDefinition, loss)]);
    let of = |uid: &str| Lineage {
        uid: uid.to_owned(),
        version: 50,
        edits: 1,
        ..Lineage::default()
    };
    let sight = seeing();
    let doubts = |uid| sight.doubts(WatchKind::Packages, &of(uid), true).is_some();
    assert!(!doubts("other"));
    sight.recall(losses.clone(), now);
    assert!(
        !sight.may_write(WatchKind::Packages),
        "all is listed anew first"
    );
    assert_eq!(*sight.losses().borrow(), losses);
    sight.settled(now + SETTLES);
    let mut eye = sight.eye(WatchKind::Packages);
    eye.begins();
    eye.lists();
    assert!(doubts("u") && !doubts("other"));
    eye.listed();
    assert_eq!(
        *sight.losses().borrow(),
        losses,
        "its status doesn't say so yet"
    );
    // A doubt that this process already has from the object's status needs no new list.
    let knows = seeing();
    let said = Lineage {
        said: true,
        ..of("u")
    };
    assert!(knows.doubts(WatchKind::Packages, &said, true).is_some());
    knows.recall(losses, now);
    assert!(knows.may_write(WatchKind::Packages));
}

#[test]
fn a_second_loss_forgets_none_of_the_doubts_of_the_first_that_stand_in_no_status() {
    let now = Instant::now();
    for (kind, objects) in [
        (WatchKind::PackageDefinition, WatchKind::Packages),
        (WatchKind::PlatformDefinition, WatchKind::Platforms),
    ] {
        let sight = seeing();
        let mut eye = sight.eye(objects);
        sight.eye(kind).at(40);
        sight.define(kind, lacking("it lacks x"), now);
        sight.define(kind, fit(3), now);
        sight.settled(now);
        eye.begins();
        eye.lists();
        let object = Lineage {
            uid: "u".to_owned(),
            version: 41,
            ..Lineage::default()
        };
        assert!(sight.doubts(objects, &object, true).is_some());
        eye.listed();
        let told = |sight: &Sight| sight.losses().borrow().get(&kind).cloned().unwrap();
        assert_eq!(told(&sight).of, Some([("u".to_owned(), 0)].into()));
        // The next loss begins later, and the process may end at any moment from here on.
        sight.eye(kind).at(60);
        sight.define(kind, lacking("it lacks y"), now);
        assert_eq!((told(&sight).since, told(&sight).of), (40, None));
        // The same holds for a process that hears of the doubts while a field is missing.
        let next = seeing();
        next.eye(kind).at(70);
        next.define(kind, lacking("it lacks y"), now);
        let loss = lacks_x(Some(("u", 0)));
        next.recall(Losses::from([(kind, loss)]), now);
        assert_eq!((told(&next).since, told(&next).of), (40, None));
    }
}
