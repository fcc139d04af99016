//! A seed determines the history in every process, independently of hash map order, tokio's randomness and the machine.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fastrand::Rng;
use version_package_operator::simulator::answer::Verdict;

use crate::history;
use crate::world::run;

/// How many seeds `make test` plays, each in two processes; `WORLD_COUNT` overrides it.
const SEEDS: u64 = 200;
/// The variable with the seeds to replay: `7`, or `0..200`.
const WHICH: &str = "WORLD_SEEDS";
/// The variable with the output file; without it the trace goes to standard output.
const INTO: &str = "WORLD_INTO";
/// The variable that asks for one summary line per seed instead of the trace.
const SHORT: &str = "WORLD_SHORT";

/// Plays a seed. Returns its trace and the number of deleted packages.
fn play(seed: u64) -> (String, usize) {
    run(seed, async |world| {
        // The history has random numbers of its own, separate from the operators' and the world's.
        history::play(world, &mut Rng::with_seed(!seed)).await;
        let calls = world.platform.calls().into_iter();
        let deleted = calls.filter(|call| call.verdict == Verdict::Deleted);
        (world.trace.text(), deleted.count())
    })
}

/// A line that identifies the trace of a seed.
fn summary(seed: u64) -> String {
    let (trace, deleted) = play(seed);
    let mut hasher = DefaultHasher::new();
    trace.hash(&mut hasher);
    let (hash, lines) = (hasher.finish(), trace.lines().count());
    format!("{seed} {hash:016x} {lines} {deleted}\n")
}

fn seeds() -> Range<u64> {
    let which = std::env::var(WHICH).unwrap_or_else(|_| panic!("{WHICH} says which"));
    let read = |text: &str| text.parse().unwrap();
    match which.split_once("..") {
        Some((from, to)) => read(from)..read(to),
        None => read(&which)..read(&which) + 1,
    }
}

#[test]
#[ignore = "it plays the seeds that somebody names: make world SEED=7"]
fn replay() {
    let short = std::env::var_os(SHORT).is_some();
    let mut played = String::new();
    for seed in seeds() {
        if short {
            played += &summary(seed);
        } else {
            write!(played, "seed {seed}\n{}", play(seed).0).unwrap();
        }
    }
    match std::env::var_os(INTO) {
        Some(path) => std::fs::write(path, played).unwrap(),
        None => println!("{played}"),
    }
}

/// Starts a process that plays seeds.
fn process(which: &str, short: bool, into: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "determinism::replay", "--ignored", "--quiet"]);
    command.env(WHICH, which).env(INTO, into);
    command.stdout(Stdio::null());
    if short {
        command.env(SHORT, "");
    }
    command.spawn().unwrap()
}

/// The output of the same seeds in two processes.
fn twice(which: &str, short: bool) -> [String; 2] {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["one", "other"].map(|name| folder.path().join(name));
    let processes = paths.each_ref().map(|path| process(which, short, path));
    for mut process in processes {
        assert!(process.wait().unwrap().success(), "a seed of {which} fails");
    }
    paths.map(|path| std::fs::read_to_string(path).unwrap())
}

/// The first differing lines, with the lines before them.
fn difference([one, other]: &[String; 2]) -> Option<String> {
    let pairs: Vec<_> = one.lines().zip(other.lines()).collect();
    let at = match pairs.iter().position(|(one, other)| one != other) {
        Some(at) => at,
        None if one == other => return None,
        None => return Some("one of them ends before the other".to_owned()),
    };
    let before: Vec<&str> = pairs[at.saturating_sub(5)..at]
        .iter()
        .map(|pair| pair.0)
        .collect();
    let (one, other) = pairs[at];
    Some(format!(
        "{}\none:   {one}\nother: {other}",
        before.join("\n")
    ))
}

#[test]
fn a_seed_gives_the_same_trace_in_two_processes() {
    let count = std::env::var("WORLD_COUNT").map_or(SEEDS, |count| count.parse().unwrap());
    let [one, other] = twice(&format!("0..{count}"), true);
    assert_eq!(u64::try_from(one.lines().count()).unwrap(), count);
    let differing = one
        .lines()
        .zip(other.lines())
        .find(|(one, other)| one != other);
    if let Some((line, _)) = differing {
        let seed = line.split(' ').next().unwrap();
        let whole = difference(&twice(seed, false));
        let whole =
            whole.unwrap_or_else(|| "it gave the same twice when it was played alone".to_owned());
        panic!("seed {seed} gives two traces:\n{whole}");
    }
    let sum = |field: usize| -> usize {
        let fields = one.lines().filter_map(|line| line.split(' ').nth(field));
        fields.map(|field| field.parse::<usize>().unwrap()).sum()
    };
    let (lines, deleted) = (sum(2), sum(3));
    println!("{count} seeds: {lines} lines, {deleted} packages deleted");
    // Histories without deletions would prove nothing.
    assert!(u64::try_from(deleted).unwrap() > count);
}

/// Modules with sockets, which no world uses, and the simulator.
const OUTSIDE: [&str; 3] = ["admin", "commands", "simulator"];

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let (folders, mut found): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    found.extend(folders.iter().flat_map(|folder| files(folder)));
    found
}

/// The source files that run in a world, without test-only files.
fn played() -> Vec<(PathBuf, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let named = files(&source).into_iter().map(|file| {
        let name = file.strip_prefix(&source).unwrap().to_owned();
        (file, name)
    });
    let played = named.filter(|(_, name)| {
        let for_tests = ["tests", "tests.rs", "fixtures.rs"];
        let is_for_tests = name
            .iter()
            .any(|part| for_tests.iter().any(|tests| part == *tests));
        !is_for_tests && !OUTSIDE.iter().any(|room| name.starts_with(room))
    });
    let read = played.map(|(file, name)| (name, std::fs::read_to_string(&file).unwrap()));
    read.collect()
}

#[test]
fn every_select_of_the_operator_is_biased() {
    let mut left = Vec::new();
    for (name, text) in played() {
        let mut after = text.split("select!");
        after.next();
        let first = |part: &str| {
            part.lines()
                .map(str::trim)
                .skip(1)
                .find(|line| !line.starts_with("//"))
                == Some("biased;")
        };
        left.extend(after.filter(|part| !first(part)).map(|_| name.clone()));
    }
    assert!(left.is_empty(), "without `biased;`: {left:?}");
}

/// The files that may read the clock of the machine, and why no history depends on this.
const OWN_CLOCKS: [(&str, &str); 4] = [
    ("clock.rs", "it is the port"),
    (
        "package/cache/packed.rs",
        "only what makes one for a test does",
    ),
    ("remote/https.rs", "it is behind the port of the platform"),
    (
        "telemetry/lines.rs",
        "it bounds how long a line waits for standard output",
    ),
];

#[test]
fn only_the_clock_port_reads_the_clock_of_the_machine() {
    let words = [
        "Timestamp::now",
        "SystemTime",
        "Zoned::now",
        "std::time::Instant",
        "time::{Duration, Instant}",
    ];
    let mut left = Vec::new();
    for (name, text) in played() {
        let known = OWN_CLOCKS.iter().any(|(file, _)| name == Path::new(file));
        let code = text
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap_or_default();
        if !known && words.iter().any(|word| code.contains(word)) {
            left.push(name);
        }
    }
    assert!(left.is_empty(), "a clock of their own: {left:?}");
}
