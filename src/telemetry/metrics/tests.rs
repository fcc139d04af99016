use super::*;
use crate::remote::answer::Detail;

fn app() -> SessionKey {
    SessionKey {
        endpoint: "https://h:1".parse().unwrap(),
        app_id: "app-1".parse().unwrap(),
    }
}

fn snapshot(state: SessionState) -> Snapshot {
    Snapshot::of_three(state, Duration::from_millis(1500))
}

#[track_caller]
fn assert_lines(metrics: &Metrics, lines: &[&str]) {
    let text = metrics.encode();
    for line in lines {
        assert!(text.lines().any(|l| l == *line), "{line} is not in\n{text}");
    }
}

fn gone() -> Answer {
    Answer::AlreadyGone(Detail {
        code: Some("123002".to_owned()),
        ..Detail::default()
    })
}

/// Returns metrics that have each been counted at least once, because a metric without a series isn't in the text.
fn counted() -> Metrics {
    let metrics = Metrics::new();
    metrics.passed("done");
    metrics.reconciled(Duration::from_millis(2));
    metrics.called(Call::Delete, &Answer::Done(200));
    metrics.called(Call::Show, &gone());
    metrics.deleted(Outcome::Deleted, Some(Duration::from_millis(200)));
    metrics.set_objects(Phase::Held, 4);
    metrics.set_undecodable(1);
    metrics.set_hindered(true);
    metrics.set_unfit_definitions(2);
    metrics.set_leading(true);
    metrics.set_session(&app(), &snapshot(SessionState::Open));
    metrics.told("written");
    metrics.watch_restarted("versionpackages");
    metrics.permit_blind();
    metrics.unaudited();
    metrics.write_refused("status");
    metrics.set_log_lines_dropped(3);
    metrics.set_unmanaged(&app(), 5);
    metrics.reappeared();
    metrics
}

#[test]
fn everything_is_counted_under_its_name() {
    let metrics = counted();
    let version = format!(
        "vpo_build_info{{version=\"{}\"}} 1",
        env!("CARGO_PKG_VERSION")
    );
    assert_lines(
        &metrics,
        &[
            &version,
            r#"vpo_passes_total{result="done"} 1"#,
            r#"vpo_reconcile_seconds_bucket{le="0.001"} 0"#,
            r#"vpo_reconcile_seconds_bucket{le="0.0025"} 1"#,
            r#"vpo_platform_calls_total{call="delete",answer="Done"} 1"#,
            r#"vpo_deletions_total{outcome="Deleted"} 1"#,
            r#"vpo_deletions_total{outcome="HandedOver"} 0"#,
            r#"vpo_time_to_delete_seconds_bucket{le="0.1"} 0"#,
            r#"vpo_time_to_delete_seconds_bucket{le="0.25"} 1"#,
            "vpo_time_to_delete_seconds_sum 0.2",
            r#"vpo_objects{phase="Held"} 4"#,
            r#"vpo_objects{phase="Gone"} 0"#,
            "vpo_undecodable_objects 1",
            "vpo_hindered 1",
            "vpo_unfit_definitions 2",
            "vpo_leading 1",
            r#"vpo_queue_length{application="app-1",endpoint="https://h:1"} 3"#,
            r#"vpo_queue_estimated_seconds{application="app-1",endpoint="https://h:1"} 1.5"#,
            r#"vpo_budget_used{application="app-1",endpoint="https://h:1"} 7"#,
            r#"vpo_budget_limit{application="app-1",endpoint="https://h:1"} 100"#,
            r#"vpo_session_state{application="app-1",endpoint="https://h:1",state="Open"} 1"#,
            r#"vpo_session_state{application="app-1",endpoint="https://h:1",state="Throttled"} 0"#,
            r#"vpo_events_total{result="written"} 1"#,
            r#"vpo_watch_restarts_total{resource="versionpackages"} 1"#,
            "vpo_blind_permits_total 1",
            "vpo_audit_failures_total 1",
            r#"vpo_refused_writes_total{part="status"} 1"#,
            "vpo_log_lines_dropped_total 3",
            r#"vpo_platform_codes_total{code="123002"} 1"#,
            r#"vpo_unmanaged_packages{application="app-1",endpoint="https://h:1"} 5"#,
            "vpo_reappeared_packages_total 1",
            "# EOF",
        ],
    );
}

#[test]
fn the_table_in_the_docs_has_each_metric_with_its_type_and_no_other() {
    let encoded = counted().encode();
    let kinds = encoded.lines().filter_map(|line| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        let name = match kind {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.to_owned(),
        };
        Some(format!("| `{name}` | {kind} |"))
    });
    let mut told: Vec<_> = kinds.collect();
    let registered = include_str!("../metrics.rs").matches("r.register").count();
    assert_eq!(told.len(), registered, "one was not counted by this test");
    let docs = include_str!("../../../docs/operations.md");
    let rows = docs.lines().filter(|line| line.starts_with("| `vpo_"));
    let mut rows: Vec<_> = rows
        .map(|row| row.splitn(4, '|').take(3).collect::<Vec<_>>().join("|") + "|")
        .collect();
    told.sort();
    rows.sort();
    assert_eq!(rows, told);
}

#[test]
fn codes_that_are_not_told_apart_share_one_series() {
    let metrics = Metrics::new();
    for code in ["1010009", "1", "2", "3\"}\n"] {
        let detail = Detail {
            code: Some(code.to_owned()),
            ..Detail::default()
        };
        metrics.called(Call::Show, &Answer::Unexpected(detail));
    }
    assert_lines(
        &metrics,
        &[
            r#"vpo_platform_codes_total{code="1010009"} 1"#,
            r#"vpo_platform_codes_total{code="other"} 3"#,
        ],
    );
}

#[test]
fn a_session_has_one_state_and_its_series_end_with_it() {
    let metrics = Metrics::new();
    metrics.set_session(&app(), &snapshot(SessionState::Open));
    let failed = SessionState::AuthenticationFailed(Detail::default());
    metrics.set_session(&app(), &snapshot(failed));
    assert_lines(
        &metrics,
        &[
            r#"vpo_session_state{application="app-1",endpoint="https://h:1",state="Open"} 0"#,
            r#"vpo_session_state{application="app-1",endpoint="https://h:1",state="AuthenticationFailed"} 1"#,
        ],
    );
    metrics.forget_session(&app());
    assert!(!metrics.encode().contains("app-1"));
}
