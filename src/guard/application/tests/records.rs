//! Records that have to be stored before deletions are sent.

use super::*;

#[test]
fn more_room_is_put_on_record_before_the_last_is_used_while_more_deletions_wait() {
    let mut guard = guarding(100);
    assert_eq!(guard.batch(), 5);
    ask(&mut guard, 0..4, 0);
    for number in 0..2 {
        assert!(guard.take(&uid(number), at(1)));
        assert!(!guard.is_due(), "{number}");
    }
    assert!(guard.take(&uid(2), at(1)));
    assert!(guard.is_due(), "two are left of five, and one more waits");
    assert!(guard.take(&uid(3), at(1)));
    assert!(!guard.is_due(), "nothing waits for what is left");
}
