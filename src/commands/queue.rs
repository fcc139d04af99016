//! `vpo queue`: prints the objects that wait for a call. Requests the report from a running operator over its admin
//! port.

use std::fmt::{self, Write as _};
use std::time::Duration;

use jiff::Timestamp;

use super::admin_port::AdminPort;
use super::output::{grouped, seconds_until, span};
use super::table::{by_application, write_columns};
use super::value::BadValue;
use crate::admin::queue_report::{ApplicationQueue, MOST, PATH, QueueReport, USUAL, Waiting};

/// The arguments of `vpo queue`.
#[derive(Debug, clap::Args)]
pub struct QueueArgs {
    /// The Platform whose queue is shown. Without this argument all queues are shown.
    #[arg(value_name = "NAMESPACE/PLATFORM")]
    platform: Option<String>,

    /// Show only the place of this `VersionPackage`.
    #[arg(long, value_name = "NAMESPACE/NAME", conflicts_with = "platform")]
    object: Option<String>,

    /// How many objects of each queue are listed, 0 to 1000.
    #[arg(long, value_name = "N", default_value_t = USUAL, value_parser = limit)]
    limit: usize,

    #[command(flatten)]
    port: AdminPort,
}

fn limit(text: &str) -> Result<usize, BadValue> {
    let number = text.parse().ok().filter(|number| *number <= MOST);
    number.ok_or_else(|| BadValue(format!("is not a number from 0 to {MOST}")))
}

/// Requests the report and prints it.
///
/// # Errors
/// The admin port doesn't answer, its replica doesn't lead, or the Platform or object doesn't exist.
pub fn run(args: &QueueArgs) -> anyhow::Result<()> {
    let limit = args.limit.to_string();
    let platform = args
        .platform
        .as_deref()
        .map(|platform| ("platform", platform));
    let object = args.object.as_deref().map(|object| ("object", object));
    let query = [Some(("limit", limit.as_str())), platform, object];
    let query: Vec<_> = query.into_iter().flatten().collect();
    args.port.print(PATH, &query, table)
}

fn table(report: &QueueReport) -> String {
    by_application(report, write_application)
}

fn write_application(text: &mut String, shown: &ApplicationQueue, now: Timestamp) -> fmt::Result {
    writeln!(text, "Application {} at {}", shown.app_id, shown.endpoint)?;
    writeln!(text, "  Platforms  {}", shown.platforms.join(", "))?;
    write!(text, "  State      {}", shown.state)?;
    if let Some(answer) = &shown.answer {
        write!(text, " ({answer})")?;
    }
    if let Some(until) = shown.until {
        write!(text, ", next call in {}", span(seconds_until(until, now)))?;
    }
    let window = Duration::from_secs_f64(shown.window_seconds.max(0.0));
    writeln!(
        text,
        "\n  Calls      {} of {} in {window:?}",
        shown.calls_in_window, shown.limit
    )?;
    match shown.token_expires {
        Some(ends) => writeln!(
            text,
            "  Token      ends in {}",
            span(seconds_until(ends, now))
        )?,
        None => writeln!(
            text,
            "  Token      none, or one whose expiry time is not known"
        )?,
    }
    match shown.length {
        0 => writeln!(text, "  Waiting    nobody")?,
        length => writeln!(
            text,
            "  Waiting    {}; the last one still waits for about {}",
            grouped(length),
            span(shown.estimated_seconds)
        )?,
    }
    if !shown.waiting.is_empty() {
        text.push('\n');
        write_rows(text, &shown.waiting, now)?;
        let last = shown.waiting.last().map_or(0, |last| last.position);
        // A report on one object lists no others, so there is nothing to add.
        let whole = shown
            .waiting
            .first()
            .is_some_and(|first| first.position == 1);
        if whole && shown.length > last {
            writeln!(text, "  and {} more", grouped(shown.length - last))?;
        }
    }
    Ok(())
}

fn write_rows(text: &mut String, waiting: &[Waiting], now: Timestamp) -> fmt::Result {
    let head = [
        "POSITION",
        "OBJECT",
        "CALL",
        "FOR",
        "SINCE",
        "TURN IN ABOUT",
    ];
    let rows = waiting.iter().map(|one| {
        [
            one.position.to_string(),
            format!("{}/{}", one.namespace, one.name),
            one.call.clone(),
            one.priority.clone(),
            span(seconds_until(now, one.since)),
            match (one.position, one.estimated_seconds) {
                (0, _) => "its turn is now".to_owned(),
                (_, 0) => "now".to_owned(),
                (_, seconds) => span(seconds),
            },
        ]
    });
    write_columns(text, head, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn waiting(position: usize, priority: &str) -> Waiting {
        Waiting {
            position,
            namespace: "fleet".to_owned(),
            name: format!("meter-{position}"),
            call: "Delete".to_owned(),
            priority: priority.to_owned(),
            since: at(1000 - 200),
            estimated_seconds: if position == 1 { 0 } else { 70 },
        }
    }

    fn report() -> QueueReport {
        let application = ApplicationQueue {
            app_id: "app-1".to_owned(),
            endpoint: "https://iot.example.com:8743".to_owned(),
            platforms: vec!["iot/production".to_owned(), "iot/test".to_owned()],
            state: "Throttled".to_owned(),
            answer: None,
            until: Some(at(1006)),
            calls_in_window: 37,
            limit: 100,
            window_seconds: 60.0,
            token_expires: Some(at(1000 + 3000)),
            length: 9982,
            estimated_seconds: 6000,
            waiting: vec![waiting(1, "Deletion"), waiting(2, "Retirement")],
        };
        QueueReport {
            time: at(1000),
            applications: vec![application],
            unusable_platforms: vec!["iot/broken".to_owned()],
        }
    }

    #[test]
    fn the_table_shows_the_state_of_the_session_and_the_next_objects() {
        let wanted = "\
Application app-1 at https://iot.example.com:8743
  Platforms  iot/production, iot/test
  State      Throttled, next call in 6s
  Calls      37 of 100 in 60s
  Token      ends in 50m
  Waiting    9,982; the last one still waits for about 100m

  POSITION  OBJECT         CALL    FOR         SINCE  TURN IN ABOUT
  1         fleet/meter-1  Delete  Deletion    3m20s  now
  2         fleet/meter-2  Delete  Retirement  3m20s  70s
  and 9,980 more

No call can be made for iot/broken: `kubectl get platform -A` says why.
";
        assert_eq!(table(&report()), wanted);
    }

    #[test]
    fn idle_and_stalled_applications_and_single_objects_are_shown_without_estimates() {
        let mut report = report();
        report.unusable_platforms.clear();
        let application = &mut report.applications[0];
        application.length = 0;
        application.waiting.clear();
        application.token_expires = None;
        application.state = "AuthenticationFailed".to_owned();
        application.answer = Some("HTTP 401, code 100208".to_owned());
        let text = table(&report);
        assert!(text.contains("AuthenticationFailed (HTTP 401, code 100208), next call in 6s\n"));
        assert!(text.ends_with("  Waiting    nobody\n"), "{text}");
        let application = &mut report.applications[0];
        application.length = 50;
        application.waiting = vec![waiting(7, "Deletion")];
        assert!(!table(&report).contains("more"), "one object is not a list");
        application_of_now(&mut report);
        assert!(table(&report).contains("its turn is now"));
        report.applications.clear();
        assert!(table(&report).contains("no Platform"));
    }

    fn application_of_now(report: &mut QueueReport) {
        report.applications[0].waiting[0].position = 0;
    }
}
