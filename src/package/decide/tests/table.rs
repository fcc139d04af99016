//! Compares the decision table in the docs with the code.

use super::*;
use crate::api::version_package::Lifecycle;

/// One row: the decision while this row and all later rows apply, and the change that ends this row.
struct Row {
    number: u8,
    /// Reason or action of the row.
    word: &'static str,
    /// Text of the row in the docs.
    documented: &'static str,
    mend: fn(&mut Observation),
}

const fn row(
    number: u8,
    word: &'static str,
    documented: &'static str,
    mend: fn(&mut Observation),
) -> Row {
    Row {
        number,
        word,
        documented,
        mend,
    }
}

const ROWS: [Row; 14] = [
    row(1, "AddFinalizer", "add it", |s| {
        object(s).finalizers = vec![FINALIZER.into()];
    }),
    row(2, "PackageMissing", "PackageMissing", |s| {
        s.settled = None;
        object(s).deleted_at = Some(fixtures::now());
        spec(s).deletion_policy = DeletionPolicy::Retain;
    }),
    row(3, "Retained", "Retained", |s| {
        object(s).deleted_at = None;
        spec(s).deletion_policy = DeletionPolicy::Delete;
    }),
    row(4, "PlatformNotFound", "no call", |s| {
        spec(s).lifecycle = Lifecycle::Retired;
    }),
    row(5, "StillClaimed", "StillClaimed", |s| {
        s.claim = fixtures::unclear("other");
    }),
    row(6, "Paused", "Paused", |s| object(s).paused = false),
    row(7, "PlatformNotFound", "PlatformNotFound", |s| {
        s.platform = usable("app-1", Mode::Observe);
    }),
    row(7, "ClaimUnclear", "a claim that nobody can judge", |s| {
        s.claim = Claim::Nobody;
    }),
    row(8, "WouldDelete", "WouldDelete", |s| {
        s.platform = graced(Duration::from_secs(30));
    }),
    row(9, "MassDeletionHeld", "MassDeletionHeld", |s| {
        s.guard = Judgement::Free(OnRecord::Counted);
    }),
    row(10, "GracePeriod", "GracePeriod", |s| {
        s.platform = usable("app-1", Mode::Enforce);
    }),
    row(11, "LookUp", "look-up", |s| {
        s.proven = Some(Instant::now() + Duration::from_secs(60));
    }),
    row(12, "Delete", "a ticket in the queue", |s| {
        s.standing = permitted(None);
    }),
    row(13, "WriteIntent", "write the intent", |s| {
        s.standing = permitted(Some("i-1".into()));
        let deletion = object(s).status.deletion.get_or_insert_default();
        deletion.intent = Some("i-1".into());
    }),
];

fn object(seen: &mut Observation) -> &mut Object {
    Arc::make_mut(&mut seen.object)
}

fn spec(seen: &mut Observation) -> &mut crate::api::version_package::VersionPackageSpec {
    object(seen).spec.as_mut().unwrap()
}

fn word(decision: &Decision) -> String {
    if let Decision::Rest { reason, .. } = decision {
        reason.as_str().to_owned()
    } else if let Decision::Release { outcome, .. } = decision {
        outcome.as_str().to_owned()
    } else if let Decision::Request(ticket) = decision {
        ticket.purpose.as_str().to_owned()
    } else if matches!(decision, Decision::WriteIntent(_)) {
        "WriteIntent".to_owned()
    } else {
        format!("{decision:?}")
    }
}

fn assert_documented(number: u8, words: &str) {
    let table = include_str!("../../../../docs/architecture.md");
    let begin = format!("| {number} |");
    let line = table.lines().find(|line| line.starts_with(&begin));
    let line = line.unwrap_or_else(|| panic!("docs/architecture.md has no row {number}"));
    assert!(
        line.contains(words),
        "row {number} doesn't tell of {words}: {line}"
    );
}

#[test]
fn the_rows_of_the_table_in_the_docs_come_in_their_order_and_say_what_the_code_says() {
    let now = now();
    let mut all_in_the_way = expecting();
    all_in_the_way.finalizers.clear();
    all_in_the_way.deleted_at = None;
    all_in_the_way.paused = true;
    let mut seen = Observation {
        settled: Some(Outcome::Deleted),
        platform: PlatformView::NotFound,
        claim: Claim::Claimed(ObjectKey::new("fleet", "other")),
        guard: Judgement::Held("h-1".into()),
        ..seen(all_in_the_way)
    };
    for row in ROWS {
        let decided = word(&decide(&seen, now));
        assert_eq!(decided, row.word, "row {}", row.number);
        assert_documented(row.number, row.documented);
        (row.mend)(&mut seen);
    }
    assert_eq!(decide(&seen, now), Decision::Send);
    assert_documented(14, "send the DELETE");
}

#[test]
fn the_rows_stand_in_the_order_of_their_numbers() {
    let numbers = super::super::rows::ROWS
        .iter()
        .filter_map(|(number, _)| *number);
    assert_eq!(numbers.collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
}
