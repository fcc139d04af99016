//! Packages that are listed although the platform reported their deletion.

use super::super::deletions::REMEMBERED;
use super::*;

#[test]
fn a_deleted_package_that_a_later_reading_lists_is_told_once() {
    let bench = Bench::new();
    bench.delete("a", 5);
    bench.delete("b", 6);
    bench.fail_to_delete();
    bench.delete("d", 10);
    let taken = bench.read(&["a", "b", "c", "d"], 10, 20);
    assert_eq!(files(&taken), ["a", "b"], "d was deleted since it began");
    assert!(bench.read(&["a", "b", "c"], 30, 40).reappeared.is_empty());
    let taken = bench.read(&["a", "d"], 50, 60);
    assert!(
        taken.reappeared.is_empty(),
        "a reading without d came between"
    );
}

#[test]
fn a_reading_that_proves_nothing_leaves_the_deleted_to_the_next_one() {
    let bench = Bench::new();
    bench.delete("a", 5);
    assert!(bench.read_total(&["a"], 9, 10, 20).reappeared.is_empty());
    assert_eq!(files(&bench.read(&["a"], 30, 40)), ["a"]);
}

#[test]
fn what_is_remembered_of_deletions_has_a_bound_and_an_end() {
    let bench = Bench::new();
    for number in 0..=REMEMBERED {
        bench.delete(&format!("p{number}"), 1);
    }
    let last = format!("p{REMEMBERED}");
    let listed = ["p0", "p1", &last];
    assert_eq!(files(&bench.read(&listed, 10, 20)), ["p1", last.as_str()]);
    bench.delete("a", 30);
    bench.inventory.serve(vec![application(false)]);
    bench.inventory.serve(vec![application(true)]);
    assert!(bench.read(&["a"], 40, 50).reappeared.is_empty());
}

#[test]
fn deletions_at_an_endpoint_of_somebody_else_say_nothing_of_a_reading() {
    let bench = Bench::new();
    let elsewhere = SessionKey {
        endpoint: "https://theirs:1".parse().unwrap(),
        ..key()
    };
    bench.inventory.deleting(&elsewhere);
    let now = bench.at(1);
    bench.inventory.deleted(&elsewhere, &file("a"), now);
    let taken = bench.read(&["a"], 2, 3);
    assert_eq!(taken.reappeared, []);
    assert!(!taken.another_trouble);
}
