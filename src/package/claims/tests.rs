#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test fails at every other variant"
)]

use std::time::Duration;

use super::*;
use crate::package::fixtures::{self, app};

fn claimant(name: &str, accepted: Option<&str>) -> Claimant {
    Claimant {
        key: ObjectKey::new("fleet", name),
        uid: format!("uid-{name}").into(),
        platform: Some(ObjectKey::new("fleet", "production")),
        application: accepted.map(app),
        readable: true,
        finalizer: true,
        retires: None,
    }
}

/// A Platform of `application`. Its credential equals that of the object that is to go for app-1, and is proven
/// otherwise.
fn resolved(application: &str) -> Resolved {
    Resolved {
        logs_in: true,
        application: app(application),
        equal: application == "app-1",
        proven: application != "app-1",
        tried: true,
        same_endpoint: true,
        closing: false,
        current: true,
        confirmed: true,
    }
}

fn is(application: &str) -> Belonging {
    Belonging::Resolved(resolved(application))
}

fn found(others: &[(Claimant, Belonging)]) -> Found {
    let of = |other: &Claimant| {
        let mut all = others.iter();
        all.find(|(one, _)| one == other).unwrap().1.clone()
    };
    let others = others.iter().map(|(other, _)| other);
    find(&app("app-1"), others, fixtures::now(), of)
}

/// The rule for claims, written once more in its own words.
fn by_the_rule(other: &Claimant, belonging: &Belonging) -> &'static str {
    let now = match belonging {
        Belonging::Resolved(now) => Some(now),
        Belonging::Refused { .. } | Belonging::Unknown => None,
    };
    let (ours, accepted) = (app("app-1"), other.application.as_ref());
    let resolves_to = |application: &AppId| now.is_some_and(|now| now.application == *application);
    let claiming = other.readable
        && other.finalizer
        && accepted == Some(&ours)
        && resolves_to(&ours)
        && now.is_some_and(|now| now.same_endpoint && (now.equal || now.proven && now.logs_in));
    let refused = *belonging == (Belonging::Refused { confirmed: true }) && accepted.is_none();
    let other_proven = now.is_some_and(|now| {
        // A token that was handed in proves no application, and a Secret that can't be read names none now.
        now.application != ours && now.proven && now.logs_in && now.current
    });
    let elsewhere = accepted.is_some_and(resolves_to) && other_proven;
    let never_accepted = accepted.is_none() && other_proven && now.is_some_and(|now| now.confirmed);
    match (claiming, refused || elsewhere || never_accepted) {
        (true, false) => "claiming",
        (false, true) => "nobody",
        (false, false) => "unclear",
        (true, true) => panic!("{other:?} {belonging:?}"),
    }
}

#[test]
fn every_object_is_claiming_or_nobody_as_the_rule_says_and_unclear_in_every_other_case() {
    let flags = [false, true];
    let mut belongings = vec![Belonging::Unknown];
    belongings.extend(flags.map(|confirmed| Belonging::Refused { confirmed }));
    for application in ["app-1", "app-2", "app-3"] {
        for bits in 0..128_u8 {
            let bit = |at: u8| bits & (1 << at) != 0;
            belongings.push(Belonging::Resolved(Resolved {
                logs_in: bit(5),
                application: app(application),
                equal: bit(0),
                proven: bit(1),
                tried: true,
                same_endpoint: bit(2),
                closing: bit(3),
                current: bit(6),
                confirmed: bit(4),
            }));
        }
    }
    let mut seen = BTreeSet::new();
    for accepted in [None, Some("app-1"), Some("app-2")] {
        for (readable, finalizer) in flags.into_iter().flat_map(|a| flags.map(|b| (a, b))) {
            for belonging in &belongings {
                let other = Claimant {
                    readable,
                    finalizer,
                    ..claimant("b", accepted)
                };
                let found = found(&[(other.clone(), belonging.clone())]);
                let verdict = match (&found.claiming, found.doubts.len()) {
                    (Some(key), 0) if *key == other.key => "claiming",
                    (None, 0) => "nobody",
                    (None, 1) => "unclear",
                    _ => panic!("{found:?}"),
                };
                let rule = by_the_rule(&other, belonging);
                assert_eq!(verdict, rule, "{other:?} {belonging:?}");
                seen.insert(verdict);
            }
        }
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn a_claim_needs_a_try_only_where_its_credential_is_neither_equal_nor_proven() {
    let why = |equal, proven, logs_in, same_endpoint| {
        let is = Resolved {
            equal,
            proven,
            logs_in,
            same_endpoint,
            ..resolved("app-1")
        };
        let other = claimant("b", Some("app-1"));
        let found = found(&[(other, Belonging::Resolved(is))]);
        found.doubts[0].why.clone()
    };
    let unproven = Why::Unproven { tried: true };
    assert_eq!(why(false, false, true, true), unproven);
    assert_eq!(why(false, false, true, false), unproven);
    assert_eq!(why(false, true, false, true), Why::HandedIn);
    assert_eq!(why(false, true, true, false), Why::Elsewhere);
    assert_eq!(why(true, false, true, false), Why::Elsewhere);
}

#[test]
fn an_object_that_was_accepted_while_its_secret_named_another_application_may_want_the_package() {
    let renamed = claimant("meter-fw", Some("app-2"));
    let meanwhile = found(&[(renamed.clone(), is("app-2"))]);
    assert_eq!(meanwhile, Found::default());
    let put_right = found(&[(renamed, is("app-1"))]);
    assert_eq!(
        put_right.doubts[0].why,
        Why::Moved {
            accepted: app("app-2"),
            present: app("app-1")
        }
    );
}

#[test]
fn an_object_claims_until_its_time_to_retire_has_come() {
    let retiring = |retires| Claimant {
        retires: Some(retires),
        ..claimant("b", Some("app-1"))
    };
    let (past, ahead) = (fixtures::now(), fixtures::now() + Duration::from_secs(1));
    assert_eq!(found(&[(retiring(past), is("app-1"))]), Found::default());
    assert!(found(&[(retiring(ahead), is("app-1"))]).claiming.is_some());
}

#[test]
fn of_those_that_were_never_accepted_only_so_many_are_looked_up() {
    let fresh = |count: usize| {
        let all = (0..count).map(|n| (claimant(&format!("f-{n:02}"), None), is("app-2")));
        found(&all.collect::<Vec<_>>()).doubts
    };
    assert_eq!(fresh(LOOKED_UP), []);
    let too_many = fresh(LOOKED_UP + 2);
    assert_eq!(too_many.len(), 2);
    assert!(too_many.iter().all(|doubt| doubt.why == Why::TooMany));
    let accepted = (0..20).map(|n| (claimant(&format!("a-{n:02}"), Some("app-2")), is("app-2")));
    assert_eq!(found(&accepted.collect::<Vec<_>>()), Found::default());
}

#[test]
fn of_those_that_platforms_refuse_only_so_many_refusals_are_looked_up_also_before_a_permit_is_held()
{
    let fresh = |count: usize, namespaces: usize, confirmed: bool| {
        let all = (0..count).map(|n| {
            let mut one = claimant(&format!("f-{n:02}"), None);
            one.key.namespace = format!("n-{:02}", n % namespaces).into();
            // Without a permit every refusal counts as confirmed; with a permit the first `REFUSALS` are read.
            let confirmed = confirmed || n < REFUSALS;
            (one, Belonging::Refused { confirmed })
        });
        let doubts = found(&all.collect::<Vec<_>>()).doubts;
        doubts
            .into_iter()
            .map(|doubt| doubt.why)
            .collect::<Vec<_>>()
    };
    assert_eq!(fresh(REFUSALS, REFUSALS, true), []);
    assert_eq!(
        fresh(90, REFUSALS, true),
        [],
        "of one namespace they are one"
    );
    for confirmed in [true, false] {
        let more = fresh(REFUSALS + 2, REFUSALS + 2, confirmed);
        assert_eq!(more, [Why::TooMany, Why::TooMany], "{confirmed}");
    }
}

#[test]
fn a_persons_word_waits_until_the_credentials_of_the_claimant_were_tried() {
    let foreign = |tried| {
        let mut is = resolved("app-1");
        (is.equal, is.tried) = (false, tried);
        (claimant("b", Some("app-1")), Belonging::Resolved(is))
    };
    let said = [String::from("uid-b")].into();
    let later = Instant::now() + Duration::from_secs(1);
    let claim = |tried| conclude(found(&[foreign(tried)]), &said, long_ago, later);
    let Claim::Unclear(unclear) = claim(false) else {
        panic!("it is passed over");
    };
    assert_eq!(unclear.word, Word::AfterTry);
    assert_eq!(claim(true), Claim::Disregarded(vec!["uid-b".into()]));
}

#[test]
fn a_definite_claim_is_named_whatever_is_unclear_and_annotated() {
    let others = [
        (claimant("a", None), is("app-1")),
        (claimant("b", Some("app-1")), is("app-1")),
        (claimant("c", Some("app-1")), is("app-1")),
    ];
    let all = ["uid-a", "uid-b", "uid-c"].map(str::to_owned).into();
    let claim = conclude(found(&others), &all, long_ago, Instant::now());
    assert_eq!(claim, Claim::Claimed(ObjectKey::new("fleet", "b")));
}

fn long_ago(_: &Doubt) -> (Instant, Timestamp) {
    (Instant::now() - PATIENCE, fixtures::now())
}

#[test]
fn a_persons_word_passes_over_exactly_the_claims_that_it_names_after_two_minutes() {
    let others = [
        (claimant("a", None), is("app-1")),
        (claimant("b", None), is("app-1")),
    ];
    let now = Instant::now();
    let claim = |said: &[&str], since: Duration| {
        let said = said.iter().map(|uid| (*uid).to_owned()).collect();
        conclude(
            found(&others),
            &said,
            |_| (now - since, fixtures::now()),
            now,
        )
    };
    let told = |claim| match claim {
        Claim::Unclear(unclear) => (unclear.doubt.uid.to_string(), unclear.others, unclear.word),
        other => panic!("{other:?}"),
    };
    let early = PATIENCE.saturating_sub(Duration::from_secs(1));
    assert_eq!(
        told(claim(&[], PATIENCE)),
        ("uid-a".into(), true, Word::None)
    );
    assert_eq!(
        told(claim(&["uid-a"], PATIENCE)),
        ("uid-b".into(), false, Word::None)
    );
    // A claim that no annotation names is reported first.
    assert_eq!(
        told(claim(&["uid-a"], early)),
        ("uid-b".into(), true, Word::None)
    );
    let both = ["uid-a", "uid-b"];
    let (_, _, word) = told(claim(&both, early));
    assert_eq!(word, Word::From(now + Duration::from_secs(1)));
    assert_eq!(
        claim(&both, PATIENCE),
        Claim::Disregarded(both.map(Arc::from).into())
    );
    assert_eq!(claim(&["uid"], PATIENCE), claim(&[], PATIENCE));
    let nobody = conclude(Found::default(), &BTreeSet::new(), long_ago, now);
    assert_eq!((nobody.disregarded(), &nobody), (&[][..], &Claim::Nobody));
}

#[test]
fn an_unclear_claim_is_told_with_object_uid_since_when_why_and_what_ends_it() {
    let doubt = |why| Doubt {
        key: ObjectKey::new("fleet", "b"),
        uid: "uid-b".into(),
        platform: Some(ObjectKey::new("iot", "production")),
        why,
    };
    for why in [
        Why::Unreadable,
        Why::Bare,
        Why::Fresh,
        Why::Closing,
        Why::NoApplication,
        Why::NotAllowed,
        Why::Moved {
            accepted: app("app-2"),
            present: app("app-1"),
        },
        Why::Unproven { tried: false },
        Why::Unproven { tried: true },
        Why::HandedIn,
        Why::Elsewhere,
        Why::TooMany,
        Why::Unconfirmed,
    ] {
        let moved = matches!(why, Why::Moved { .. });
        let doubt = doubt(why);
        let mut unclear = Unclear {
            doubt: doubt.clone(),
            since: fixtures::now(),
            others: true,
            word: Word::None,
        };
        let said = message::unclear(&unclear);
        for part in [
            "fleet/b (uid uid-b)",
            "iodm.dev/disregard",
            "2026-11-23T12:00:00Z",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(said.contains("iodm.dev/accept: app-1"), moved, "{said}");
        assert_eq!(message::said_since(&said, &doubt), Some(fixtures::now()));
        for word in [Word::AfterTry, Word::From(Instant::now())] {
            unclear.word = word;
            let said = message::unclear(&unclear);
            assert!(said.contains("2 minutes"), "{said}");
            let tries = said.contains("once these credentials have been tried");
            assert_eq!(tries, word == Word::AfterTry, "{said}");
        }
    }
    let (one, other) = (doubt(Why::Bare), "fleet/bc (uid uid-b) names ...");
    assert_eq!(message::said_since(other, &one), None);
}
