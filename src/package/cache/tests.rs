use super::*;
use crate::package::fixtures;

fn shown(cache: &Cache, name: &str) -> Option<String> {
    let look = cache.look(&ObjectKey::new("fleet", name))?;
    Some(look.object.resource_version.clone())
}

fn version(name: &str, version: &str) -> Packed {
    let object = Object {
        resource_version: version.into(),
        ..fixtures::accepted(name, "app-1")
    };
    fixtures::watched(&object).into()
}

/// A retired object of this name and version.
fn retired(name: &str, version: &str) -> Packed {
    let object = Object {
        resource_version: version.into(),
        ..fixtures::retired(fixtures::accepted(name, "app-1"))
    };
    fixtures::watched(&object).into()
}

#[test]
fn a_list_is_shown_as_a_whole_and_wakes_whoever_was_or_is_there() {
    let cache = Cache::default();
    cache.apply(Event::Applied(version("a", "1")));
    cache.apply(Event::Applied(version("gone", "1")));
    cache.apply(Event::ListBegins);
    cache.apply(Event::Listed(version("a", "2")));
    cache.apply(Event::Listed(version("new", "2")));
    assert_eq!(shown(&cache, "a").as_deref(), Some("1"));
    assert!(shown(&cache, "new").is_none() && shown(&cache, "gone").is_some());
    let changes = cache.apply(Event::ListEnds);
    assert_eq!(shown(&cache, "a").as_deref(), Some("2"));
    assert!(shown(&cache, "new").is_some() && shown(&cache, "gone").is_none());
    assert_eq!((changes.wakes.now.len(), changes.listed), (3, true));
    assert_eq!(changes.gone, ["uid-gone"]);
}

#[test]
fn claims_and_objects_are_swapped_in_one_moment() {
    let cache = Cache::default();
    cache.apply(Event::Applied(retired("a", "1")));
    cache.apply(Event::ListBegins);
    cache.apply(Event::Listed(retired("a", "2")));
    cache.apply(Event::Listed(version("b", "2")));
    let look = cache.look(&ObjectKey::new("fleet", "a")).unwrap();
    assert!(look.others.is_empty() && look.object.resource_version == "1");
    cache.apply(Event::ListEnds);
    let look = cache.look(&ObjectKey::new("fleet", "a")).unwrap();
    assert_eq!(
        (look.others.len(), look.object.resource_version.as_str()),
        (1, "2")
    );
}

#[test]
fn a_new_claim_wakes_those_that_are_to_go_and_a_new_uid_ends_the_old_one() {
    let cache = Cache::default();
    cache.apply(Event::Applied(retired("a", "1")));
    let changes = cache.apply(Event::Applied(version("b", "1")));
    assert_eq!(changes.wakes.now.len(), 2);
    let mut anew = version("b", "2");
    anew.uid = "another".into();
    assert_eq!(cache.apply(Event::Applied(anew)).gone, ["uid-b"]);
    let changes = cache.apply(Event::Deleted(version("b", "3")));
    assert_eq!((changes.wakes.now.len(), changes.gone.len()), (2, 1));
    let look = cache.look(&ObjectKey::new("fleet", "a")).unwrap();
    assert!(look.others.is_empty());
}

#[test]
fn a_change_that_no_claim_depends_on_wakes_nobody_else_and_every_other_change_does() {
    let cache = Cache::default();
    let mut at = 0;
    let mut others_woken = |change: &dyn Fn(&mut Object)| {
        at += 1;
        let mut object = Object {
            resource_version: at.to_string(),
            ..fixtures::accepted("b", "app-1")
        };
        change(&mut object);
        let changes = cache.apply(Event::Applied(fixtures::watched(&object).into()));
        assert_eq!(&*changes.wakes.now[0].name, "b");
        changes.wakes.now.len() - 1
    };
    assert_eq!(others_woken(&|_| {}), 0, "nobody is there");
    for name in ["a", "c"] {
        cache.apply(Event::Applied(retired(name, "1")));
    }
    cache.apply(Event::Applied(version("live", "1")));
    let same: [&dyn Fn(&mut Object); 3] = [
        &|_| {},
        &|object| object.status.phase = Some(Phase::Active),
        &|object| object.generation = 9,
    ];
    for change in same {
        assert_eq!(others_woken(change), 0);
    }
    let others: [&dyn Fn(&mut Object); 7] = [
        &|object| object.finalizers.clear(),
        &|object| object.status.application = None,
        &|object| object.status.application = Some(fixtures::app("app-2")),
        &|object| object.uid = "another".into(),
        &|object| object.spec = fixtures::undecodable("b").spec,
        &|object| *object = fixtures::retired(object.clone()),
        &|object| *object = fixtures::deleted(object.clone()),
    ];
    for change in others {
        assert_eq!(others_woken(change), 2);
        // A change in either direction wakes the others; a change between two states without a claim wakes none.
        assert_eq!(others_woken(&|_| {}), 2);
    }
    assert_eq!(
        cache
            .apply(Event::Deleted(version("b", "99")))
            .wakes
            .now
            .len(),
        3
    );
    // An object of another package doesn't affect this claim.
    let mut elsewhere = version("b", "100");
    elsewhere.file_id = Some("f-2".parse().unwrap());
    assert_eq!(cache.apply(Event::Applied(elsewhere)).wakes.now.len(), 1);
    assert_eq!(others_woken(&|_| {}), 2);
}

#[test]
fn a_platform_concerns_its_objects_and_those_whose_packages_they_may_claim() {
    let cache = Cache::default();
    let foreign = |name: &str, file: &str| {
        let spec = serde_json::json!({"fileId": file, "platformRef": {"name": "foreign"}});
        let object = Object {
            spec: Ok(serde_json::from_value(spec).unwrap()),
            ..fixtures::object(name)
        };
        Packed::from(fixtures::watched(&object))
    };
    cache.apply(Event::Applied(retired("a", "1")));
    cache.apply(Event::Applied(version("b", "1")));
    cache.apply(Event::Applied(foreign("c", "f-1")));
    cache.apply(Event::Applied(foreign("d", "f-2")));
    let concerned = cache.concerned_by(&ObjectKey::new("fleet", "foreign"));
    let mut names: Vec<_> = concerned
        .now
        .iter()
        .map(|key| key.name.to_string())
        .collect();
    names.sort();
    assert_eq!(names, ["a", "c", "d"]);
}

#[test]
fn who_can_not_go_is_not_told_of_others_and_who_may_is_told_of_the_living_only() {
    let cache = Cache::default();
    let others = |name: &str| {
        let look = cache.look(&ObjectKey::new("fleet", name)).unwrap();
        let names = look.others.iter().map(|other| other.key.name.to_string());
        names.collect::<Vec<_>>()
    };
    for object in [
        version("a", "1"),
        version("b", "1"),
        retired("c", "1"),
        retired("d", "1"),
    ] {
        cache.apply(Event::Applied(object));
    }
    assert_eq!(
        (others("a").len(), others("c")),
        (0, vec!["a".into(), "b".into()])
    );
    let mut scheduled = fixtures::accepted("a", "app-1");
    let ahead = k8s_openapi::jiff::Timestamp::now() + std::time::Duration::from_secs(60);
    let ahead = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(ahead);
    scheduled.spec.as_mut().unwrap().retire_after = Some(ahead);
    cache.apply(Event::Applied(fixtures::watched(&scheduled).into()));
    assert_eq!(others("a"), ["b"], "it may be retired by now");
}

#[test]
fn an_object_is_known_since_it_was_first_seen_whatever_comes_after() {
    let (cache, key) = (Cache::default(), ObjectKey::new("fleet", "a"));
    let since = || cache.look(&key).unwrap().since;
    cache.apply(Event::Applied(version("a", "1")));
    let first = since();
    cache.apply(Event::Applied(version("a", "2")));
    cache.apply(Event::ListBegins);
    cache.apply(Event::Listed(version("a", "3")));
    cache.apply(Event::ListEnds);
    assert_eq!(since(), first);
    let mut anew = version("a", "4");
    anew.uid = "another".into();
    cache.apply(Event::Applied(anew));
    assert!(since() > first);
}

#[test]
fn the_counts_follow_every_change_and_a_list_replaces_them() {
    let cache = Cache::default();
    let object = |name: &str, phase| {
        let mut object = fixtures::object(name);
        object.status.phase = phase;
        Packed::from(fixtures::watched(&object))
    };
    let platform = object("a", None).platform.unwrap();
    let of = |phase| cache.phases().0.get(&phase).copied().unwrap_or(0);
    cache.apply(Event::Applied(object("a", None)));
    cache.apply(Event::Applied(object("a", Some(Phase::Active))));
    cache.apply(Event::Applied(object("b", Some(Phase::Active))));
    assert_eq!((of(Phase::Active), cache.counts(&platform).active), (2, 2));

    cache.apply(Event::Applied(object("a", Some(Phase::Deleting))));
    assert_eq!((of(Phase::Active), of(Phase::Deleting)), (1, 1));
    assert_eq!(cache.counts(&platform).waiting, 1);
    cache.apply(Event::Deleted(object("a", Some(Phase::Deleting))));
    assert_eq!(cache.counts(&platform).waiting, 0);

    cache.apply(Event::ListBegins);
    cache.apply(Event::Listed(object("c", Some(Phase::Held))));
    assert_eq!(of(Phase::Active), 1, "a list counts once it is complete");
    cache.apply(Event::ListEnds);
    let counts = PackageCounts {
        held: 1,
        ..PackageCounts::default()
    };
    assert_eq!((of(Phase::Active), cache.counts(&platform)), (0, counts));
}

#[test]
fn a_list_that_brings_nothing_new_leaves_all_as_it_is_and_one_broken_off_is_forgotten() {
    let cache = Cache::default();
    for name in ["a", "b", "c"] {
        cache.apply(Event::Applied(version(name, "1")));
    }
    let names = |keys: &[ObjectKey]| {
        let mut names: Vec<String> = keys.iter().map(|key| key.name.to_string()).collect();
        names.sort();
        names
    };
    cache.apply(Event::ListBegins);
    cache.apply(Event::Listed(version("a", "7")));
    cache.apply(Event::ListBegins);
    let mut anew = version("c", "1");
    anew.uid = "another".into();
    for object in [version("a", "1"), version("b", "2"), anew] {
        cache.apply(Event::Listed(object));
    }
    let changes = cache.apply(Event::ListEnds);
    assert_eq!(names(&changes.wakes.now), ["a", "b", "c"]);
    assert_eq!(changes.gone, ["uid-c"]);
    let versions = ["a", "b", "c"].map(|name| shown(&cache, name).unwrap());
    assert_eq!(versions, ["1", "2", "1"]);
}

#[test]
fn who_names_a_package_is_found_by_all_of_its_name() {
    let cache = Cache::default();
    let object = |name: &str, file: &str| {
        let mut object = version(name, "1");
        object.file_id = Some(file.parse().unwrap());
        object
    };
    let of = |file: &str| {
        let keys = cache.of_file(&file.parse().unwrap());
        let names: Vec<String> = keys.iter().map(|key| key.name.to_string()).collect();
        names.join(" ")
    };
    for (name, file) in [("d", "f"), ("a", "f-1"), ("b", "f-10"), ("c", "f-1")] {
        cache.apply(Event::Applied(object(name, file)));
    }
    assert_eq!(
        [of("f"), of("f-1"), of("f-10"), of("f-")],
        ["d", "a c", "b", ""]
    );
    cache.apply(Event::Applied(object("c", "f-10")));
    cache.apply(Event::Deleted(object("d", "f")));
    assert_eq!([of("f"), of("f-1"), of("f-10")], ["", "a", "b c"]);
}

#[test]
fn what_another_claims_that_retires_at_a_time_is_told_by_a_look() {
    let cache = Cache::default();
    let asking = fixtures::retired(fixtures::accepted("a", "app-1"));
    cache.apply(Event::Applied(fixtures::watched(&asking).into()));
    let wish = |cache: &Cache| match cache.wish(&ObjectKey::new("fleet", "a")).unwrap().1 {
        Wish::Nothing(_) => "nothing",
        Wish::Deletion { .. } => "deletion",
        Wish::Open => "open",
    };
    assert_eq!(wish(&cache), "deletion");
    let mut later = version("b", "1");
    later.retires = Some(fixtures::now());
    cache.apply(Event::Applied(later));
    assert_eq!(wish(&cache), "open", "it may be retired by now");
    cache.apply(Event::Applied(version("c", "1")));
    assert_eq!(wish(&cache), "nothing");
}

/// Population of app-1 at the Platform of the fixtures.
fn population(cache: &Cache) -> usize {
    let platform = fixtures::accepted("a", "app-1").platform().unwrap();
    cache.population(&fixtures::app("app-1"), &[platform])
}

#[test]
fn an_object_that_was_let_go_and_stays_for_others_is_no_user_of_its_platform() {
    let cache = Cache::default();
    let going = Object {
        finalizers: vec![crate::api::names::FINALIZER.into(), "others.io/keep".into()],
        ..fixtures::deleted(fixtures::accepted("a", "app-1"))
    };
    let platform = going.platform().unwrap();
    cache.apply(Event::Applied(fixtures::watched(&going).into()));
    assert_eq!(cache.users(&platform, 3).0, 1);
    assert_eq!(population(&cache), 1);
    let let_go = Object {
        finalizers: vec!["others.io/keep".into()],
        resource_version: "9".into(),
        ..going
    };
    cache.apply(Event::Applied(fixtures::watched(&let_go).into()));
    assert_eq!(cache.users(&platform, 3), (0, Vec::new()));
    assert_eq!(population(&cache), 0);
}
