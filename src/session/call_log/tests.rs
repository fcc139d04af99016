use proptest::prelude::*;

use super::*;

const TIME_OUT: Duration = Duration::from_secs(15);

fn key(n: usize) -> SessionKey {
    SessionKey {
        endpoint: format!("https://platform-{n}.example.com").parse().unwrap(),
        app_id: format!("app-{n}").parse().unwrap(),
    }
}

fn past(stamps: Vec<Instant>, window: Duration, now: Instant) -> Past {
    Past {
        window,
        forgotten: now.checked_sub(LONGEST_WINDOW).unwrap(),
        stamps,
        throttle: None,
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

proptest! {
    /// However often a log is handed on: at each moment, the reader counts at least as many future calls as were sent,
    /// and none of them more than two hundredths of a window late.
    #[test]
    fn a_reader_never_counts_a_call_as_older_than_it_is(
        window in 1000_u64..3_600_000,
        ages in prop::collection::vec(-15_000_i64..3_600_000, 0..300),
        reserved in 0_usize..200,
        waits in prop::collection::vec(0_u64..20_000, 1..4),
    ) {
        let window = ms(window);
        let start = Instant::now() + Duration::from_secs(7200);
        let at = |age: &i64| if *age < 0 {
            start + ms(age.unsigned_abs())
        } else {
            start.checked_sub(ms(age.unsigned_abs())).unwrap()
        };
        let mut real: Vec<Instant> = ages.iter().map(at).collect();
        real.sort_unstable();
        let mut known = past(real.clone(), window, start);
        let (mut now, mut more) = (start, reserved);
        for wait in &waits {
            let text = CallLog::new(vec![SessionRecord::new(&key(1), &known, more, now)], false).into_text();
            now += ms(*wait);
            known = Inheritance::read(&text, now, now, TIME_OUT).take(&key(1), now);
            // All reserved calls were used, as late as possible.
            real.extend(std::iter::repeat_n(now, more));
            more = 0;
        }
        real.sort_unstable();
        let counting = |stamps: &[Instant], at: Instant| stamps.iter().filter(|stamp| **stamp >= at).count();
        let from = now.checked_sub(window).unwrap();
        for stamp in real.iter().filter(|stamp| **stamp > from) {
            prop_assert!(counting(&known.stamps, *stamp) >= counting(&real, *stamp));
        }
        prop_assert!(known.forgotten <= now.checked_sub(window.mul_f64(0.999)).unwrap());
    }

    /// However often a log is handed on: the reader allows nothing earlier than the writer, nor more than a few
    /// hundredths of a window late.
    #[test]
    fn a_pause_never_ends_earlier_for_the_reader(
        window in 1000_u64..3_600_000,
        pause in 0_u32..50,
        grows in 0_u32..80,
        waits in prop::collection::vec(0_u64..20_000, 1..4),
    ) {
        let window = ms(window);
        let start = Instant::now() + Duration::from_secs(7200);
        let throttle = Throttle {
            refused: start,
            pause: Some(start + window / 100 * pause),
            fits: Some(40),
            grows: start + window / 100 * grows,
            credit: -50,
        };
        let mut known = past(vec![start], window, start);
        known.throttle = Some(throttle);
        let mut now = start;
        let mut slack = Duration::ZERO;
        for wait in &waits {
            let text = CallLog::new(vec![SessionRecord::new(&key(1), &known, 0, now)], false).into_text();
            now += ms(*wait);
            // The reader first sees the log after this wait, and rounds by a hundredth.
            slack += ms(*wait) + window / 99;
            known.throttle = Inheritance::read(&text, now, now, TIME_OUT).take(&key(1), now).throttle;
            let read = known.throttle.unwrap();
            prop_assert_eq!((read.fits, read.credit), (throttle.fits, throttle.credit));
            for (read, written) in [
                (read.refused, throttle.refused),
                (read.pause.unwrap(), throttle.pause.unwrap()),
                (read.grows, throttle.grows),
            ] {
                prop_assert!(read >= written && read <= written + slack);
            }
        }
    }

    /// Any text in the annotation is read or refused, at no great cost.
    #[test]
    fn no_text_is_too_strange_to_be_refused(text in ".{0,200}") {
        let now = Instant::now();
        let refused = Inheritance::read(&text, now, now, TIME_OUT).take(&key(1), now);
        prop_assert_eq!(refused.forgotten, now + TIME_OUT);
    }
}

#[test]
fn a_record_is_readable_for_people_and_keeps_the_counts_by_age() {
    let now = Instant::now() + Duration::from_secs(7200);
    let ago = |seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap();
    let window = Duration::from_secs(60);
    let stamps = vec![
        ago(61),
        ago(30),
        ago(30),
        ago(1),
        now + Duration::from_secs(15),
    ];
    let record = SessionRecord::new(&key(1), &past(stamps, window, now), 20, now);
    assert_eq!(
        CallLog::new(vec![record], false).into_text(),
        r#"{"version":1,"sessions":[{"endpoint":"https://platform-1.example.com:443","appId":"app-1","windowMs":60000,"calls":{"-25":1,"1":1,"50":2},"reserved":20}]}"#
    );
}

#[test]
fn a_record_tells_for_people_what_refused_calls_have_told() {
    let now = Instant::now() + Duration::from_secs(7200);
    let window = Duration::from_secs(60);
    let ago = |seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap();
    let mut known = past(vec![ago(3)], window, now);
    known.throttle = Some(Throttle {
        refused: ago(3),
        pause: Some(now + Duration::from_secs(3)),
        fits: Some(40),
        grows: now + Duration::from_secs(21),
        credit: -25,
    });
    let record = SessionRecord::new(&key(1), &known, 0, now);
    let text = CallLog::new(vec![record], false).into_text();
    assert!(
        text.ends_with(
            r#""reserved":0,"throttled":{"refused":5,"pause":-5,"fits":40,"grows":-35,"credit":-25}}]}"#
        ),
        "{text}"
    );
    // A wrong number written by hand stops no call for longer than a window.
    let wrong = text.replace(r#""pause":-5"#, r#""pause":-500000"#);
    let read = Inheritance::read(&wrong, now, now, TIME_OUT).take(&key(1), now);
    assert_eq!(read.throttle.unwrap().pause, Some(now + window));
}

#[test]
fn a_session_that_is_not_in_the_record_has_sent_nothing() {
    let now = Instant::now();
    let text = CallLog::new(Vec::new(), false).into_text();
    let past = Inheritance::read(&text, now, now, TIME_OUT).take(&key(1), now);
    assert!(past.is_over(now));
    assert!(Inheritance::nothing().take(&key(1), now).is_over(now));
}

#[test]
fn what_does_not_fit_counts_as_used() {
    let now = Instant::now() + Duration::from_secs(7200);
    let ago = |n: u32| now.checked_sub(Duration::from_millis(600) * n).unwrap();
    let full = past(
        (0..100).rev().map(ago).collect(),
        Duration::from_secs(60),
        now,
    );
    let records = (0..200)
        .map(|n| SessionRecord::new(&key(n), &full, 20, now))
        .collect();
    let text = CallLog::new(records, false).into_text();
    assert!(
        text.len() <= BOUND && text.len() > BOUND / 2,
        "{}",
        text.len()
    );
    let mut read = Inheritance::read(&text, now, now, TIME_OUT);
    assert_eq!(read.take(&key(0), now).stamps.len(), 120);
    let cut = read.take(&key(199), now);
    assert_eq!(
        (cut.forgotten, read.is_partial(now)),
        (now + TIME_OUT, true)
    );
}

#[test]
fn numbers_that_cannot_be_right_are_no_record() {
    let now = Instant::now();
    for (field, value) in [
        ("calls", r#"{"1":4000000000}"#),
        ("windowMs", "0"),
        ("windowMs", "99999999"),
        ("version", "2"),
    ] {
        let sound = r#"{"version":1,"sessions":[{"endpoint":"https://h","appId":"a","windowMs":1000,"calls":{},"reserved":0}]}"#;
        assert!(CallLog::from_text(sound).is_some());
        let (start, rest) = sound.split_once(&format!("\"{field}\":")).unwrap();
        let end = rest.find([',', '}']).unwrap() + usize::from(field == "calls");
        let wrong = format!("{start}\"{field}\":{value}{}", &rest[end..]);
        let read = Inheritance::read(&wrong, now, now, TIME_OUT).take(&key(1), now);
        assert_eq!(read.forgotten, now + TIME_OUT, "{wrong}");
    }
}

#[test]
fn calls_that_may_still_be_under_way_after_a_crash_count_until_their_time_out() {
    let now = Instant::now() + Duration::from_secs(7200);
    let record = SessionRecord::new(&key(1), &past(Vec::new(), ms(1000), now), 100, now);
    let text = CallLog::new(vec![record], false).into_text();
    let stamps = Inheritance::read(&text, now, now, TIME_OUT)
        .take(&key(1), now)
        .stamps;
    let late = stamps
        .iter()
        .filter(|stamp| **stamp == now + TIME_OUT)
        .count();
    assert_eq!((stamps.len(), late), (100, MOST_IN_FLIGHT));
}

/// A call that a killed process left in flight arrives after its successor has begun, and counts from then on.
#[test]
fn calls_under_way_that_no_record_tells_of_count_until_they_can_have_arrived() {
    let taken = Instant::now();
    let cut = CallLog::new(Vec::new(), true).into_text();
    for mut left in [
        Inheritance::unknown(taken, TIME_OUT),
        Inheritance::read("?", taken, taken, TIME_OUT),
        Inheritance::read(&cut, taken, taken, TIME_OUT),
    ] {
        let past = left.take(&key(1), taken);
        assert!(past.forgotten >= taken + TIME_OUT);
        // The record of the successor keeps the call too.
        let record = SessionRecord::new(&key(1), &past, 0, taken);
        let text = CallLog::new(vec![record], false).into_text();
        let next = Inheritance::read(&text, taken, taken, Duration::ZERO).take(&key(1), taken);
        assert!(next.forgotten >= taken + TIME_OUT);
    }
}
