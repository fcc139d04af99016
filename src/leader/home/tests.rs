use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{StatusCode, Uri};
use serde_json::json;

use super::*;

const DURATION: Duration = Duration::from_secs(30);

fn home(source: Source, in_pod: bool) -> Home {
    Home::new("here".to_owned(), source, in_pod)
}

fn names(namespace: &str) -> BindingReading {
    BindingReading::Names(Account {
        namespace: namespace.to_owned(),
        name: "vpo".to_owned(),
    })
}

#[test]
fn only_the_service_accounts_among_the_subjects_of_the_binding_count() {
    let account =
        |namespace: &str| json!({"kind": "ServiceAccount", "name": "vpo", "namespace": namespace});
    let user = json!({"kind": "User", "name": "here"});
    for (binding, wanted) in [
        (json!({"subjects": [account("here")]}), names("here")),
        (
            json!({"subjects": [user, account("here"), account("here")], "roleRef": 7, "metadata": {"managedFields": "odd"}}),
            names("here"),
        ),
        (
            json!({"subjects": [account("here"), account("there")]}),
            BindingReading::Ambiguous(2),
        ),
        (json!({"subjects": [user]}), BindingReading::Ambiguous(0)),
        (json!({"subjects": null}), BindingReading::Ambiguous(0)),
        (json!({"subjects": "odd"}), BindingReading::Ambiguous(0)),
        (json!([]), BindingReading::Ambiguous(0)),
    ] {
        assert_eq!(said(&binding), wanted, "{binding}");
    }
}

#[test]
fn nobody_begins_to_lead_without_a_binding_that_names_its_namespace() {
    let now = Instant::now();
    let begins = |source, in_pod, reading| {
        let mut home = home(source, in_pod);
        home.may_begin(&reading, DURATION, now)
    };
    for (source, in_pod) in [
        (Source::Flag, true),
        (Source::Flag, false),
        (Source::Pod, true),
        (Source::Context, false),
    ] {
        assert_eq!(begins(source, in_pod, names("here")), Ok(()));
        let why = begins(source, in_pod, names("there")).unwrap_err();
        let why = why.to_string();
        assert!(why.contains("here") && why.contains("there/vpo"), "{why}");
        for reading in [
            BindingReading::Ambiguous(0),
            BindingReading::Ambiguous(2),
            BindingReading::Unbound,
            BindingReading::Failed("forbidden".to_owned()),
        ] {
            begins(source, in_pod, reading).unwrap_err();
        }
        let tried_out = begins(source, in_pod, BindingReading::Absent);
        assert_eq!(
            tried_out.is_ok(),
            (source, in_pod) == (Source::Flag, false),
            "{tried_out:?}"
        );
    }
}

#[test]
fn another_namespace_ends_a_term_and_a_reading_that_fails_does_not() {
    for (reading, ends) in [
        (names("here"), false),
        (names("there"), true),
        (BindingReading::Absent, true),
        (BindingReading::Unbound, true),
        (BindingReading::Ambiguous(2), false),
        (BindingReading::Failed("late".to_owned()), false),
    ] {
        let home = home(Source::Pod, true);
        assert_eq!(home.ends_term(&reading).is_some(), ends, "{reading:?}");
    }
    let tried_out = home(Source::Flag, false);
    assert_eq!(tried_out.ends_term(&BindingReading::Absent), None);
}

#[test]
fn a_process_that_the_binding_comes_to_name_waits_until_the_leader_elsewhere_has_ended() {
    let start = Instant::now();
    let mut home = home(Source::Flag, true);
    home.may_begin(&names("there"), DURATION, start)
        .unwrap_err();
    let back = start + DURATION * 9;
    for (after, begins) in [
        (Duration::ZERO, false),
        (DURATION.checked_sub(Duration::from_secs(1)).unwrap(), false),
        (DURATION, true),
    ] {
        let now = back + after;
        assert_eq!(
            home.may_begin(&names("here"), DURATION, now).is_ok(),
            begins
        );
        // A failed read shows no change.
        let failed = BindingReading::Failed("late".to_owned());
        home.may_begin(&failed, DURATION, now).unwrap_err();
    }
    // All quota windows end at most an hour after the last call of the other leader.
    let over = back + DURATION + Duration::from_secs(3600);
    let moved = |before: u64| home.has_moved(DURATION, over - Duration::from_secs(before));
    assert!(moved(1) && !moved(0));
}

/// The reading from an API server that answers with these status codes: to the first read of the binding, to the read
/// of the server's version, to the second read of the binding, and to a list of Platforms.
async fn reads(codes: [u16; 4]) -> BindingReading {
    let [first, version, second, platforms] = codes;
    let looks = Arc::new(AtomicUsize::new(0));
    let answer = move |uri: Uri| {
        let code = match uri.path() {
            "/version" => version,
            PLATFORMS => platforms,
            _ if looks.fetch_add(1, Ordering::Relaxed) == 0 => first,
            _ => second,
        };
        let body = match (uri.path(), code) {
            ("/version", 200) => {
                json!({"major": "1", "minor": "37", "gitVersion": "", "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": ""})
            }
            (_, 200) => {
                json!({"subjects": [{"kind": "ServiceAccount", "name": "vpo", "namespace": "here"}]})
            }
            _ => {
                json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "it says no"})
            }
        };
        let code = StatusCode::from_u16(code).unwrap();
        std::future::ready((code, body.to_string()))
    };
    let client = kube::Client::new(Router::new().fallback(answer), "default");
    read(&client, Duration::from_secs(5)).await
}

#[tokio::test]
async fn an_api_server_that_has_not_read_its_roles_says_nothing_of_who_may_lead() {
    let failed = |reading: &BindingReading| matches!(reading, BindingReading::Failed(words) if words.contains("it says no"));
    let forbids_all = reads([403; 4]).await;
    assert!(failed(&forbids_all), "{forbids_all:?}");
    // The process waits, and then takes over with the call log all the same.
    let (mut home, now) = (home(Source::Pod, true), Instant::now());
    home.may_begin(&forbids_all, DURATION, now).unwrap_err();
    assert_eq!(home.ends_term(&forbids_all), None);
    home.may_begin(&names("here"), DURATION, now).unwrap();
    assert!(!home.has_moved(DURATION, now));

    assert_eq!(reads([200, 403, 403, 403]).await, names("here"));
    assert_eq!(reads([403, 200, 200, 403]).await, names("here"));
    assert_eq!(reads([403, 200, 403, 403]).await, BindingReading::Unbound);
    assert_eq!(reads([403, 200, 404, 403]).await, BindingReading::Absent);
    assert_eq!(reads([404, 200, 200, 200]).await, BindingReading::Absent);
    for codes in [
        [403, 200, 403, 200],
        [500, 200, 200, 200],
        [403, 500, 200, 200],
    ] {
        let reading = reads(codes).await;
        assert!(failed(&reading), "{codes:?} {reading:?}");
    }
}
