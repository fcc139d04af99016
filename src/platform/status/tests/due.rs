//! When a status is due to be written.

use super::*;

#[tokio::test]
async fn words_are_written_at_once_numbers_every_ten_seconds_and_nothing_when_equal() {
    let first = in_state(&spec(), SessionState::Open);
    assert!(is_due(&PlatformStatus::default(), &first, false, None));
    let mut written = platform(&spec());
    written.status = first.clone();
    let later = |state| said_of(&written, &grant(true, None), Some(state)).unwrap();
    assert!(
        !is_due(&first, &later(SessionState::Open), false, None),
        "equal"
    );

    let mut counted = later(SessionState::Open);
    counted.queue = Some(QueueStatus {
        length: 4,
        estimated_time: None,
    });
    assert!(!is_due(
        &first,
        &counted,
        false,
        Some(Duration::from_secs(9))
    ));
    assert!(is_due(&first, &counted, false, Some(NUMBERS_EVERY)));
    assert!(is_due(&first, &counted, false, None));

    let refused = later(SessionState::AuthenticationFailed(detail()));
    assert!(is_due(&first, &refused, false, Some(Duration::ZERO)));
}

#[tokio::test]
async fn times_that_differ_by_rounding_are_not_a_change() {
    let mut read = platform(&spec());
    let paused = |read: &PlatformObject, second| {
        let now = Instant::now();
        let until = now + Duration::from_secs(60);
        let snapshot = snapshot(SessionState::Throttled { until });
        next(&StatusSource {
            snapshot: Some(&snapshot),
            now: (at(second), now),
            ..look(read, &grant(true, None))
        })
        .unwrap()
    };
    read.status = paused(&read, 1000);
    let until = |status: &PlatformStatus| {
        let session = status.session.clone().unwrap();
        session.throttled_until.unwrap().0.as_second()
    };
    assert_eq!(until(&read.status), 1060);
    assert_eq!(until(&paused(&read, 1001)), 1060);
    assert_eq!(until(&paused(&read, 1030)), 1090);
}

#[tokio::test]
async fn a_pause_that_is_over_is_not_written_anew_as_time_passes() {
    let (mut read, access) = (platform(&spec()), grant(true, None));
    let start = Instant::now();
    let snapshot = snapshot(SessionState::Throttled {
        until: start + Duration::from_secs(6),
    });
    let after = |read: &PlatformObject, seconds: u16| {
        next(&StatusSource {
            snapshot: Some(&snapshot),
            now: (
                at(1000 + i64::from(seconds)),
                start + Duration::from_secs(seconds.into()),
            ),
            ..look(read, &access)
        })
        .unwrap()
    };
    read.status = after(&read, 0);
    for seconds in [5, 7, 20, 600] {
        let said = after(&read, seconds);
        assert!(!is_due(&read.status, &said, false, None), "{seconds} s");
    }
}
