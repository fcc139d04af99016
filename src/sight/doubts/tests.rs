use serde_json::json;

use super::*;

fn object(version: u64, edits: i64) -> Lineage {
    Lineage {
        uid: "u".to_owned(),
        version,
        edits,
        ..Lineage::default()
    }
}

#[test]
fn a_word_given_after_one_loss_says_nothing_of_a_later_one() {
    let confirmed = |version| Lineage {
        confirmed: Some("u".to_owned()),
        ..object(version, 1)
    };
    let mut doubts = after_a_loss();
    assert_eq!(doubts.judge(&object(11, 1), true), self::lost());
    doubts.list_ends(true);
    assert_eq!(doubts.judge(&confirmed(12), false), LossDoubt::None);
    assert_eq!(doubts.judge(&confirmed(13), true), LossDoubt::None);
    doubts.begin(".spec.deletionPolicy".to_owned(), 20);
    let lost = LossDoubt::Lost(".spec.deletionPolicy".to_owned());
    assert_eq!(doubts.judge(&confirmed(21), true), lost);
    doubts.list_ends(true);
    // An annotation that was removed and set again confirms this loss.
    assert_eq!(doubts.judge(&object(22, 1), false), lost);
    assert_eq!(doubts.judge(&confirmed(23), false), LossDoubt::None);
}

#[test]
fn a_process_that_first_sees_a_doubt_and_a_word_together_believes_only_one_that_is_set_anew() {
    let seen = |version, said| Lineage {
        confirmed: Some("u".to_owned()),
        said,
        ..object(version, 1)
    };
    // The doubt comes from the status, or from the list after a loss.
    let said = (LossDoubts::default(), seen(11, true));
    for (mut doubts, first) in [said, (after_a_loss(), seen(11, false))] {
        assert!(matches!(doubts.judge(&first, true), LossDoubt::Lost(_)));
        doubts.list_ends(true);
        for listed in [false, true] {
            let again = doubts.judge(&seen(12, true), listed);
            assert!(matches!(again, LossDoubt::Lost(_)));
        }
        assert!(matches!(
            doubts.judge(&object(13, 1), false),
            LossDoubt::Lost(_)
        ));
        assert_eq!(doubts.judge(&seen(14, true), false), LossDoubt::None);
    }
}

fn after_a_loss() -> LossDoubts {
    let mut doubts = LossDoubts::default();
    doubts.begin(".spec.mode".to_owned(), 10);
    doubts
}

fn lost() -> LossDoubt {
    LossDoubt::Lost(".spec.mode".to_owned())
}

#[test]
fn what_was_written_before_the_loss_or_after_the_list_is_not_doubted() {
    let mut doubts = after_a_loss();
    assert_eq!(doubts.judge(&object(10, 1), true), LossDoubt::None);
    assert_eq!(doubts.judge(&object(12, 2), false), LossDoubt::None);
    doubts.list_ends(true);
    assert_eq!(doubts.judge(&object(13, 2), true), LossDoubt::None);
}

#[test]
fn what_was_written_meanwhile_is_doubted_until_its_spec_is_edited() {
    let mut doubts = after_a_loss();
    assert_eq!(doubts.judge(&object(11, 1), true), lost());
    doubts.list_ends(true);
    // The status, a label, a retry and the deletion are changed, but not the spec.
    assert_eq!(doubts.judge(&object(15, 1), false), lost());
    assert_eq!(doubts.judge(&object(15, 1), true), lost());
    assert_eq!(doubts.judge(&object(16, 2), false), LossDoubt::None);
    // The status still reports the loss for the edits before.
    let said = Lineage {
        said: true,
        ..object(17, 2)
    };
    assert_eq!(doubts.judge(&said, false), LossDoubt::None);
}

#[test]
fn a_person_confirms_one_object_by_its_uid() {
    let mut doubts = after_a_loss();
    assert_eq!(doubts.judge(&object(11, 1), true), lost());
    let confirmed = |uid: &str| Lineage {
        confirmed: Some(uid.to_owned()),
        ..object(12, 1)
    };
    assert_eq!(doubts.judge(&confirmed("another"), false), lost());
    assert_eq!(doubts.judge(&confirmed("u"), false), LossDoubt::None);
    assert_eq!(doubts.judge(&object(13, 1), false), LossDoubt::None);
}

#[test]
fn what_an_earlier_process_found_is_in_the_status() {
    let mut doubts = LossDoubts::default();
    let said = Lineage {
        said: true,
        ..object(11, 1)
    };
    assert!(matches!(doubts.judge(&said, true), LossDoubt::Lost(_)));
    assert_eq!(doubts.judge(&object(12, 2), false), LossDoubt::None);
}

#[test]
fn a_record_of_a_package_that_is_gone_is_not_doubted_and_keeps_no_loss_open() {
    let mut doubts = after_a_loss();
    assert_eq!(doubts.judge(&object(11, 1), true), lost());
    doubts.list_ends(true);
    assert!(doubts.unsaid().is_some());
    let settled = Lineage {
        settled: true,
        ..object(12, 1)
    };
    assert_eq!(doubts.judge(&settled, false), LossDoubt::None);
    assert!(doubts.unsaid().is_none());
    let status = |uid: &str, outcome: &str| json!({"uid": uid, "deletion": {"outcome": outcome}});
    let metadata = ObjectMeta {
        uid: Some("u".to_owned()),
        ..ObjectMeta::default()
    };
    assert!(lineage(&metadata, &status("u", "AlreadyGone")).settled);
    assert!(!lineage(&metadata, &status("u", "Retained")).settled);
    assert!(!lineage(&metadata, &status("another", "Deleted")).settled);
}

#[test]
fn the_next_process_doubts_those_that_did_not_say_so_and_nobody_else() {
    let mut doubts = after_a_loss();
    assert_eq!(doubts.judge(&object(11, 1), true), lost());
    assert_eq!(doubts.unsaid().unwrap().of, None, "the list is under way");
    doubts.list_ends(true);
    let told = doubts.unsaid().unwrap();
    assert_eq!((&*told.what, told.since), (".spec.mode", 10));
    assert_eq!(told.of, Some([("u".to_owned(), 1)].into()));
    // This process has listed before it hears of that doubt.
    let mut next = LossDoubts::default();
    let other = Lineage {
        uid: "other".to_owned(),
        ..object(12, 1)
    };
    assert_eq!(next.judge(&other, true), LossDoubt::None);
    assert!(next.recall("u".to_owned(), 1, (".spec.mode", 10)));
    assert!(
        !next.recall("u".to_owned(), 1, (".spec.mode", 10)),
        "no news"
    );
    assert_eq!(next.unsaid(), Some(told));
    next.list_begins();
    let confirmed = Lineage {
        confirmed: Some("u".to_owned()),
        ..object(13, 1)
    };
    assert_eq!(next.judge(&confirmed, true), lost(), "an earlier word");
    assert_eq!(next.judge(&other, true), LossDoubt::None);
    next.list_ends(true);
    assert_eq!(next.judge(&object(14, 2), false), LossDoubt::None, "edited");
    assert_eq!(next.unsaid(), None);
}

#[test]
fn a_recalled_doubt_takes_no_later_one_away_and_comes_back_where_a_person_has_looked_at_an_earlier_one()
 {
    let mut own = after_a_loss();
    assert_eq!(own.judge(&object(11, 2), true), lost());
    own.list_ends(true);
    assert!(!own.recall("u".to_owned(), 1, (".spec.mode", 10)));
    assert_eq!(own.judge(&object(12, 2), false), lost());
    assert_eq!(own.judge(&object(13, 3), false), LossDoubt::None);
    assert!(own.recall("u".to_owned(), 3, (".spec.mode", 10)));
    assert_eq!(own.judge(&object(14, 3), true), lost());
}

#[test]
fn of_too_many_that_did_not_say_so_the_record_tells_only_since_when() {
    let mut doubts = after_a_loss();
    for number in 0..=NAMED {
        let one = Lineage {
            uid: format!("u-{number}"),
            ..object(11, 1)
        };
        assert_eq!(doubts.judge(&one, true), lost());
    }
    doubts.list_ends(true);
    assert_eq!(doubts.unsaid().unwrap().of, None);
}

#[test]
fn one_that_a_list_no_longer_shows_is_doubted_no_more_and_keeps_no_loss_open() {
    let mut doubts = after_a_loss();
    assert_eq!(doubts.judge(&object(11, 1), true), lost());
    doubts.list_ends(true);
    for shown in [true, false] {
        doubts.list_begins();
        if shown {
            assert_eq!(doubts.judge(&object(12, 1), true), lost());
        }
        doubts.list_ends(true);
        assert_eq!(doubts.unsaid().is_some(), shown);
    }
}

#[test]
fn an_edit_under_a_second_loss_is_doubted_again() {
    let mut doubts = after_a_loss();
    assert_eq!(doubts.judge(&object(11, 1), true), lost());
    doubts.list_ends(true);
    assert_eq!(doubts.judge(&object(12, 2), false), LossDoubt::None);
    doubts.begin(".spec.mode".to_owned(), 20);
    assert_eq!(doubts.judge(&object(21, 3), true), lost());
}
