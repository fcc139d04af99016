use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::*;

/// A fake API server that records the requests.
#[derive(Default)]
struct Stand {
    written: Mutex<Vec<(String, Value)>>,
    /// Whether no request is answered.
    hangs: bool,
    /// The namespaces whose requests aren't answered.
    hanging: Mutex<Vec<&'static str>>,
    /// The status of the answer to a patch.
    patched: Option<StatusCode>,
    refused: AtomicUsize,
}

impl Stand {
    async fn answer(&self, method: &Method, uri: &Uri, body: &Bytes) -> Response {
        let hangs = |namespace: &&str| uri.path().contains(&format!("/namespaces/{namespace}/"));
        if self.hangs || self.hanging.lock().iter().any(hangs) {
            std::future::pending::<()>().await;
        }
        let sent: Value = serde_json::from_slice(body).unwrap();
        let refusal = self.patched.filter(|_| *method == Method::PATCH);
        if let Some(code) = refusal {
            self.refused.fetch_add(1, Ordering::Relaxed);
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16()});
            return (code, status.to_string()).into_response();
        }
        let call = format!("{method} {}", uri.path());
        self.written.lock().push((call, sent));
        let event = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "eventTime": null,
        });
        event.to_string().into_response()
    }

    fn publisher(self, metrics: &Arc<Metrics>) -> (Events, Arc<Self>) {
        let stand = Arc::new(self);
        let served = Arc::clone(&stand);
        let answer = move |method: Method, uri: Uri, body: Bytes| {
            let served = Arc::clone(&served);
            async move { served.answer(&method, &uri, &body).await }
        };
        let client = Client::new(Router::new().fallback(answer), "default");
        let clock = || Timestamp::from_second(1_800_000_000).unwrap();
        let events = Events::new(
            &client,
            Some("vpo-0"),
            Arc::clone(metrics),
            crate::clock::Clock::new(clock),
            Box::new(|namespace| namespace == "ending"),
        );
        (events, stand)
    }
}

fn say(events: &Events, name: &str, message: &str) {
    say_in(events, "fleet", name, message);
}

fn say_in(events: &Events, namespace: &str, name: &str, message: &str) {
    let key = ObjectKey::new(namespace, name);
    let about = about::<crate::api::version_package::VersionPackage>(&key, "uid-a");
    let note = Note {
        warning: false,
        reason: "Deleted",
        message: message.to_owned(),
    };
    events.say(about, note);
}

fn counted(metrics: &Metrics, result: &str) -> usize {
    let begins = format!("vpo_events_total{{result=\"{result}\"}} ");
    let text = metrics.encode();
    let line = text.lines().find_map(|line| line.strip_prefix(&begins));
    line.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn equal_events_are_one_series_and_others_are_events_of_their_own() {
    let metrics = Arc::default();
    let (events, stand) = Stand::default().publisher(&metrics);
    for (name, message) in [("a", "gone"), ("a", "gone"), ("a", "back"), ("b", "gone")] {
        say(&events, name, message);
    }
    events.flush(Duration::from_secs(5)).await;
    let written = stand.written.lock().clone();
    let path = "/apis/events.k8s.io/v1/namespaces/fleet/events";
    let creates = written.iter().filter(|(call, sent)| {
        *call == format!("POST {path}") && sent["regarding"]["uid"] == "uid-a"
    });
    assert_eq!(creates.count(), 3, "{written:#?}");
    let series: Vec<_> = written
        .iter()
        .filter(|(call, _)| call.starts_with(&format!("PATCH {path}/a.")))
        .map(|(_, sent)| sent["series"]["count"].clone())
        .collect();
    assert_eq!(series, [2], "{written:#?}");
    assert_eq!(counted(&metrics, "published"), 4);
}

#[tokio::test(start_paused = true)]
async fn events_of_a_namespace_that_ends_are_counted_and_not_written() {
    let metrics = Arc::default();
    let (events, stand) = Stand::default().publisher(&metrics);
    say_in(&events, "ending", "a", "gone");
    say(&events, "a", "gone");
    events.flush(Duration::from_secs(5)).await;
    assert_eq!(stand.written.lock().len(), 1);
    assert_eq!(
        (counted(&metrics, "skipped"), counted(&metrics, "published")),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_series_whose_event_is_gone_begins_anew() {
    let metrics = Arc::default();
    let gone = Stand {
        patched: Some(StatusCode::NOT_FOUND),
        ..Stand::default()
    };
    let (events, stand) = gone.publisher(&metrics);
    for _ in 0..3 {
        say(&events, "a", "gone");
    }
    events.flush(Duration::from_secs(5)).await;
    let names: Vec<Value> = stand
        .written
        .lock()
        .iter()
        .map(|(_, sent)| sent["metadata"]["name"].clone())
        .collect();
    assert_eq!(stand.refused.load(Ordering::Relaxed), 2);
    assert!(
        names.len() == 3 && names[0] != names[1] && names[1] != names[2],
        "{names:?}"
    );
    assert_eq!(counted(&metrics, "published"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_api_server_loses_counted_events_and_delays_no_caller() {
    let metrics = Arc::default();
    let hanging = Stand {
        hangs: true,
        ..Stand::default()
    };
    let (events, _stand) = hanging.publisher(&metrics);
    let room = QUEUES * WAITING;
    let begun = Instant::now();
    for count in 0..3 * room {
        say(&events, &format!("a-{count}"), "gone");
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let dropped = counted(&metrics, "dropped");
    assert!((room..=5 * room / 2).contains(&dropped), "{dropped}");
    events.flush(Duration::from_secs(25)).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(25));
    assert_eq!(counted(&metrics, "failed"), 2 * QUEUES);
}

/// The time until an event about this object is written.
async fn told_after(events: &Events, stand: &Stand, namespace: &str, name: &str) -> Duration {
    let begun = Instant::now();
    say_in(events, namespace, name, "gone");
    loop {
        let written = stand.written.lock().clone();
        let is = |sent: &Value| {
            sent["regarding"]["name"] == name && sent["metadata"]["namespace"] == namespace
        };
        if written.iter().any(|(_, sent)| is(sent)) {
            return begun.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn events_of_a_hanging_namespace_delay_others_by_a_second_once() {
    let metrics = Arc::default();
    let (events, stand) = Stand::default().publisher(&metrics);
    *stand.hanging.lock() = vec!["dead"];
    for count in 0..QUEUES * WAITING / 2 {
        say_in(&events, "dead", &format!("d-{count}"), "gone");
    }
    let mut longest = Vec::new();
    for round in 0..10 {
        let mut delays = Vec::new();
        for count in 0..4 * QUEUES {
            let name = format!("a-{round}-{count}");
            delays.push(told_after(&events, &stand, "fleet", &name).await);
            say_in(&events, "dead", &format!("more-{round}-{count}"), "gone");
        }
        longest.push(delays.into_iter().max().unwrap());
        tokio::time::sleep(Duration::from_secs(7)).await;
    }
    println!("{longest:?}");
    assert!(longest[0] <= Duration::from_millis(1500), "{longest:?}");
    let later = longest[1..].iter().max().unwrap();
    assert!(*later <= Duration::from_millis(100), "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn waiting_events_are_written_in_order_once_their_namespace_answers() {
    let metrics = Arc::default();
    let (events, stand) = Stand::default().publisher(&metrics);
    *stand.hanging.lock() = vec!["dead", "lame"];
    say_in(&events, "dead", "a", "gone");
    say_in(&events, "lame", "a", "gone");
    tokio::time::sleep(Duration::from_secs(3)).await;
    for _ in 0..3 {
        say_in(&events, "lame", "a", "gone");
    }
    stand
        .hanging
        .lock()
        .retain(|namespace| *namespace == "dead");
    events.flush(Duration::from_secs(60)).await;
    let written = stand.written.lock().clone();
    let methods: Vec<&str> = written
        .iter()
        .map(|(call, _)| call.split(' ').next().unwrap())
        .collect();
    // The first write was given up; the equal events form one series.
    assert_eq!(methods, ["POST", "PATCH", "PATCH"], "{written:#?}");
    assert_eq!(counted(&metrics, "failed"), 2);
}

#[test]
fn lost_events_are_logged_once_a_minute() {
    let start = Instant::now();
    let mut untold = Untold::default();
    let told: Vec<_> = [0, 1, 59, 60, 61, 300]
        .into_iter()
        .map(|seconds| untold.add(start + Duration::from_secs(seconds)))
        .collect();
    assert_eq!(told, [Some(1), None, None, Some(3), None, Some(2)]);
}
