mod any_walk;
mod deletions;

use std::time::Duration;

use super::listing::ListedPackage;
use super::stock::FIELDS;
use super::walk::Flaw;
use super::*;
use crate::api::names::AppId;
use crate::remote::pages::{Next, Page};
use crate::remote::wire::CategoryInfo;

fn key() -> SessionKey {
    SessionKey {
        endpoint: "https://h:1".parse().unwrap(),
        app_id: app(),
    }
}

fn app() -> AppId {
    "app-1".parse().unwrap()
}

fn file(id: &str) -> FileId {
    id.parse().unwrap()
}

fn platform() -> ObjectKey {
    ObjectKey::new("iot", "production")
}

fn said(id: &str) -> CategoryInfo {
    CategoryInfo {
        file_id: Some(id.to_owned()),
        name: Some("meter-fw".to_owned()),
        version: Some(format!("V-{id}")),
        ..CategoryInfo::default()
    }
}

fn page(ids: &[&str], total_count: u64) -> Page {
    Page {
        data: ids.iter().map(|id| said(id)).collect(),
        total_count,
    }
}

/// An inventory with a clock that the test sets.
struct Bench {
    inventory: Inventory,
    start: Now,
}

impl Bench {
    fn new() -> Self {
        let inventory = Inventory::default();
        inventory.serve(vec![application(true)]);
        Self {
            inventory,
            start: crate::clock::Clock::default().now(),
        }
    }

    fn at(&self, second: u64) -> Now {
        let after = Duration::from_secs(second);
        Now {
            wall: self.start.wall + after,
            tick: self.start.tick + after,
        }
    }

    /// Reads a list of one page, from second `begun` to second `ended`.
    fn read(&self, ids: &[&str], begun: u64, ended: u64) -> Taken {
        self.read_total(ids, ids.len() as u64, begun, ended)
    }

    fn read_total(&self, ids: &[&str], total: u64, begun: u64, ended: u64) -> Taken {
        let mut walk = self.inventory.begin(&key(), self.at(begun));
        walk.take(0, &page(ids, total));
        self.end(walk, ended)
    }

    fn end(&self, walk: Walk, ended: u64) -> Taken {
        let reading = walk.end(self.inventory.mark(&key()));
        self.inventory.take(&key(), reading, self.at(ended))
    }

    fn delete(&self, id: &str, answered: u64) {
        self.fail_to_delete();
        let now = self.at(answered);
        self.inventory.deleted(&key(), &file(id), now);
    }

    fn fail_to_delete(&self) {
        self.inventory.deleting(&key());
        self.inventory.no_longer_deleting(&key());
    }

    fn unmanaged(&self, platform: &str) -> Option<i32> {
        let platform = ObjectKey::new("iot", platform);
        let counted = self.inventory.counted(&platform, PackageCounts::default());
        counted.unmanaged
    }

    fn shown(&self) -> Shown {
        let mut room = usize::MAX;
        self.inventory.show(&key(), &mut room).unwrap().unwrap()
    }

    fn known(&self, id: &str, since: u64) -> Known {
        self.inventory
            .known(&key(), &platform(), &file(id), self.at(since).tick)
    }
}

fn application(reads: bool) -> Application {
    Application {
        key: key(),
        platforms: vec![platform()],
        reads,
    }
}

fn files(taken: &Taken) -> Vec<&str> {
    let files = taken.reappeared.iter();
    files.map(|deleted| deleted.file.as_str()).collect()
}

#[test]
fn a_package_is_missing_only_to_whoever_wanted_it_before_the_reading_began() {
    let bench = Bench::new();
    assert_eq!(bench.known("a", 0), Known::Unread);
    bench.read(&["b"], 10, 20);
    assert_eq!(bench.known("a", 9), Known::Missing);
    for since in [10, 15, 25] {
        assert_eq!(bench.known("a", since), Known::Unread, "uploaded meanwhile");
    }
    let Known::Listed(identity) = bench.known("b", 25) else {
        panic!("it is listed");
    };
    assert_eq!(identity.version.as_deref(), Some("V-b"));
    assert_eq!(
        (identity.name.as_deref(), identity.model),
        (Some("meter-fw"), None)
    );
}

#[test]
fn a_reading_that_lists_a_package_heals_even_where_it_proves_nothing_else() {
    let bench = Bench::new();
    bench.read(&["a"], 10, 20);
    assert_eq!(bench.known("b", 0), Known::Missing);
    let taken = bench.read_total(&["b"], 7, 30, 40);
    assert!(taken.tells && taken.another_trouble);
    assert!(matches!(bench.known("b", 0), Known::Listed(_)));
    assert!(
        matches!(bench.known("a", 0), Known::Listed(_)),
        "not disproved"
    );
    assert_eq!(
        bench.known("c", 0),
        Known::Missing,
        "what was proven stands"
    );
    let again = bench.read_total(&["b"], 7, 50, 60);
    assert!(!again.tells && !again.another_trouble, "nothing is new");
    let shown = bench.shown();
    assert!(shown.trouble.unwrap().message.contains("7 packages"));
    bench.read(&["a"], 70, 80);
    assert_eq!(bench.known("b", 0), Known::Missing);
    assert_eq!(bench.shown().trouble, None);
}

#[test]
fn a_walk_proves_nothing_where_packages_came_went_or_were_deleted_by_us() {
    let bench = Bench::new();
    let flaw = |pages: &[Page]| {
        let mut walk = bench.inventory.begin(&key(), bench.at(1));
        for (number, page) in (0..).zip(pages) {
            walk.take(number, page);
        }
        walk.end(bench.inventory.mark(&key())).flaw
    };
    assert_eq!(flaw(&[page(&[], 0)]), None);
    assert_eq!(flaw(&[page(&["a"], 2), page(&["b"], 2)]), None);
    let uneven = |distinct, total| Some(Flaw::Uneven { distinct, total });
    assert_eq!(
        flaw(&[page(&["a"], 2), page(&["b"], 3)]),
        Some(Flaw::TotalChanged)
    );
    assert_eq!(flaw(&[page(&["a"], 2), page(&["a"], 2)]), uneven(1, 2));
    assert_eq!(flaw(&[page(&["a"], 2), page(&[], 2)]), uneven(1, 2));
    assert_eq!(flaw(&[page(&["a", "b", "a"], 2)]), uneven(2, 2));
    let mut nameless = page(&["a", "b"], 2);
    nameless.data[0].file_id = None;
    assert_eq!(flaw(&[nameless]), Some(Flaw::Nameless));

    let mut walk = bench.inventory.begin(&key(), bench.at(1));
    bench.fail_to_delete();
    walk.take(0, &page(&["a"], 1));
    let reading = walk.end(bench.inventory.mark(&key()));
    assert_eq!(reading.flaw, Some(Flaw::Deleting));
    // A DELETE that is in flight during the whole read may take effect at any moment of it.
    bench.inventory.deleting(&key());
    assert_eq!(flaw(&[page(&["a"], 1)]), Some(Flaw::Deleting));
    bench.inventory.no_longer_deleting(&key());
    assert_eq!(flaw(&[page(&["a"], 1)]), None);
}

#[test]
fn packages_of_nobody_are_counted_for_every_platform_and_say_whether_they_were_deleted() {
    let bench = Bench::new();
    assert_eq!(bench.unmanaged("production"), None);
    bench.delete("a", 5);
    let mut walk = bench.inventory.begin(&key(), bench.at(10));
    walk.take(0, &page(&["a", "b", "c"], 3));
    let mut reading = walk.end(bench.inventory.mark(&key()));
    for entry in reading.listing.entries_mut() {
        entry.unmanaged = entry.id() != "b";
    }
    bench.inventory.take(&key(), reading, bench.at(20));
    assert_eq!(bench.unmanaged("production"), Some(2));
    assert_eq!(bench.unmanaged("other"), None);
    let shown = bench.shown();
    let unmanaged = shown.unmanaged.iter();
    let unmanaged: Vec<_> = unmanaged
        .map(|one| (one.file_id.as_str(), one.deleted))
        .collect();
    assert_eq!(unmanaged, [("a", Some(bench.at(5).wall)), ("c", None)]);
    assert_eq!(
        shown.reading,
        Some((bench.at(10).wall, bench.at(20).wall, 3))
    );
    // If the room is too small for all packages, none is unpacked.
    let mut room = 2 * FIELDS;
    assert_eq!(bench.inventory.show(&key(), &mut room), Some(Err(NoRoom)));
    room *= 2;
    assert!(matches!(
        bench.inventory.show(&key(), &mut room),
        Some(Ok(_))
    ));
    assert_eq!(
        bench.inventory.show(&key(), &mut room),
        Some(Err(NoRoom)),
        "what was shown took some"
    );
    // A read with a flaw leaves the count unchanged.
    bench.read_total(&["d"], 9, 30, 40);
    assert_eq!(bench.unmanaged("production"), Some(2));
}

#[test]
fn an_inventory_that_is_turned_off_knows_nothing_and_wakes_whoever_relied_on_it() {
    let bench = Bench::new();
    bench.read(&["b"], 10, 20);
    assert_eq!(bench.inventory.serve(vec![application(false)]), [key()]);
    assert_eq!(bench.known("a", 0), Known::Off);
    assert_eq!(bench.unmanaged("production"), None);
    assert!(bench.inventory.serve(vec![application(false)]).is_empty());
    bench.read(&["b"], 30, 40);
    assert_eq!(
        bench.known("b", 0),
        Known::Off,
        "a late reading counts for nothing"
    );
    assert!(bench.inventory.serve(vec![application(true)]).is_empty());
    assert_eq!(bench.known("a", 0), Known::Unread);
    assert_eq!(bench.inventory.serve(Vec::new()), [key()]);
    assert_eq!(bench.known("a", 0), Known::Unread);
}

#[test]
fn a_list_without_end_takes_the_room_of_one_application_and_many_take_that_of_all() {
    let bench = Bench::new();
    let room = |met| bench.inventory.has_room(&key(), met);
    assert!(room(MOST_OF_ONE));
    assert!(!room(MOST_OF_ONE + 1));
    for name in ["app-2", "app-3", "app-4"] {
        let key = SessionKey {
            app_id: name.parse().unwrap(),
            ..key()
        };
        bench.inventory.has_room(&key, MOST_OF_ONE);
    }
    assert!(!room(1), "the others have taken all of it");
    // The other applications are no longer served.
    bench.inventory.serve(vec![application(true)]);
    assert!(room(MOST_OF_ONE));
    // The kept listing counts beside the next walk, also if no read ever was without a flaw.
    bench.read_total(&["a", "b"], 9, 1, 2);
    assert!(!room(MOST_OF_ONE));
}

#[test]
fn ten_thousand_packages_take_less_than_five_megabytes() {
    let bench = Bench::new();
    let packages: Vec<CategoryInfo> = (0..10_000)
        .map(|number| CategoryInfo {
            file_id: Some(format!("{number:08}-5f3a-4c1e-9d8b-{number:012}")),
            name: Some(format!("water-meter-firmware-{number}")),
            version: Some(format!("V1.{}.{number}", number % 100)),
            file_type: Some("firmwarePackage".to_owned()),
            device_type: Some("WaterMeter".to_owned()),
            model: Some("NB-IoT-17".to_owned()),
            manufacturer_name: Some("ACME Metering International".to_owned()),
            protocol_type: Some("CoAP".to_owned()),
            description: Some("x".repeat(500)),
            date: Some(" 2017-8-11 ".to_owned()),
            upload_time: Some("20170811T080000Z".to_owned()),
        })
        .collect();
    let mut walk = bench.inventory.begin(&key(), bench.at(1));
    for (number, data) in (0..).zip(packages.chunks(100)) {
        let page = Page {
            data: data.to_vec(),
            total_count: 10_000,
        };
        let next = walk.take(number, &page);
        let last = number == 99;
        assert_eq!(
            next,
            if last {
                Next::Complete
            } else {
                Next::Page(number + 1)
            }
        );
    }
    bench.end(walk, 2);
    let bytes = bench.inventory.bytes(&key());
    println!("10,000 packages take {bytes} bytes");
    // Twice the size is needed while a new listing replaces the last one.
    assert!(bytes * 2 < 5_000_000, "{bytes} bytes");
}

#[test]
fn what_the_platform_says_is_kept_as_the_status_takes_it() {
    let odd = CategoryInfo {
        name: Some("ü".repeat(1000)),
        version: Some("a\u{1f}b".to_owned()),
        model: Some(String::new()),
        upload_time: Some("9".repeat(100)),
        ..said("a")
    };
    let entry = ListedPackage::pack(&odd).unwrap();
    let identity = entry.identity();
    assert_eq!(entry.id(), "a");
    assert_eq!(identity.name.unwrap(), "ü".repeat(128));
    assert_eq!(identity.version.as_deref(), Some("ab"));
    assert_eq!((identity.model, identity.device_type), (None, None));
    assert_eq!(identity.upload_time.unwrap().len(), 64);
    for nothing in [None, Some(String::new())] {
        let nameless = CategoryInfo {
            file_id: nothing,
            ..CategoryInfo::default()
        };
        assert_eq!(ListedPackage::pack(&nameless), None);
    }
}
