//! Walks over lists that change during the walk.

use proptest::prelude::*;

use super::super::walk::Reading;
use super::*;

/// A change on the platform between two pages.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// Another client uploads a package, at this place of the list.
    Upload(usize),
    /// A DELETE of ours removes the package at this place.
    Delete(usize),
    /// Another client removes the package at this place.
    Foreign(usize),
}

fn changes(foreign: bool) -> impl Strategy<Value = Vec<Vec<Change>>> {
    let ours = prop_oneof![
        (0..40_usize).prop_map(Change::Upload),
        (0..40_usize).prop_map(Change::Delete),
    ];
    let theirs = (0..40_usize).prop_map(Change::Foreign);
    let one = if foreign {
        theirs.boxed()
    } else {
        ours.boxed()
    };
    proptest::collection::vec(proptest::collection::vec(one, 0..3), 0..12)
}

/// Walks over a changing list; returns the reading and the packages that were listed all the time.
fn walked(
    bench: &Bench,
    mut packages: Vec<String>,
    pages: usize,
    changes: &[Vec<Change>],
) -> (Reading, Vec<String>) {
    let mut stayed = packages.clone();
    let mut walk = bench.inventory.begin(&key(), bench.at(10));
    let mut number = 0;
    loop {
        let from = (number as usize * pages).min(packages.len());
        let until = (from + pages).min(packages.len());
        let ids: Vec<_> = packages[from..until].iter().map(String::as_str).collect();
        let next = walk.take(number, &page(&ids, packages.len() as u64));
        let Next::Page(following) = next else {
            return (walk.end(bench.inventory.mark(&key())), stayed);
        };
        for change in changes.get(number as usize).into_iter().flatten() {
            match *change {
                Change::Upload(place) => {
                    let new = format!("new-{number}-{place}-{}", packages.len());
                    packages.insert(place % (packages.len() + 1), new);
                }
                Change::Delete(place) | Change::Foreign(place) if !packages.is_empty() => {
                    let gone = packages.remove(place % packages.len());
                    stayed.retain(|id| *id != gone);
                    if matches!(change, Change::Delete(_)) {
                        bench.delete(&gone, 11);
                    }
                }
                Change::Delete(_) | Change::Foreign(_) => {}
            }
        }
        number = following;
    }
}

proptest! {
    #[test]
    fn pages_that_shift_during_a_walk_never_make_a_package_missing(
        count in 0..40_usize,
        pages in 1..7_usize,
        changes in any::<bool>().prop_flat_map(changes),
    ) {
        let bench = Bench::new();
        let packages: Vec<String> = (0..count).map(|n| format!("p{n}")).collect();
        let (reading, stayed) = walked(&bench, packages, pages, &changes);
        bench.inventory.take(&key(), reading, bench.at(20));
        for id in stayed {
            prop_assert_ne!(bench.known(&id, 0), Known::Missing, "{}", id);
        }
    }

    #[test]
    fn a_list_that_stands_still_is_read_as_it_is(count in 0..60_usize, pages in 1..9_usize) {
        let bench = Bench::new();
        let packages: Vec<String> = (0..count).map(|n| format!("p{n}")).collect();
        let (reading, stayed) = walked(&bench, packages, pages, &[]);
        prop_assert_eq!(reading.flaw, None);
        bench.inventory.take(&key(), reading, bench.at(20));
        for id in stayed {
            prop_assert!(matches!(bench.known(&id, 0), Known::Listed(_)));
        }
        prop_assert_eq!(bench.known("another", 0), Known::Missing);
    }
}
