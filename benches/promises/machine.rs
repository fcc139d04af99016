//! The machine, and the system's data on a process.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::figures::{Row, Rows};
use crate::support::tool;

/// The operator's core.
const OPERATOR_CORE: &str = "0";
/// The core of everything else.
const OTHER_CORE: &str = "1";

/// The properties of the machine that affect figures, in one line.
pub fn line() -> String {
    // The first two numbers of the release; the suffix of a distribution doesn't affect speed.
    let release = said("uname", &["-r"]);
    let release: Vec<&str> = release.split('.').take(2).collect();
    let kernel = format!(
        "{} {} {}",
        said("uname", &["-s"]),
        release.join("."),
        said("uname", &["-m"])
    );
    let about = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("", |line| line.trim_start_matches([' ', '\t', ':']));
    let placed = if pins() {
        "the operator on one core, control plane, simulator and the bench itself on another"
    } else {
        "no process bound to a core"
    };
    format!("{} cores, {model}, {kernel}; {placed}.", cores())
}

/// The size of the program.
pub fn program_size(bench: &'static str) -> Row {
    let size = fs::metadata(tool::vpo())
        .expect("the program is there")
        .len();
    let mut rows = Rows::of(bench);
    rows.know("size on disk", bytes_to_mib(size), "MiB");
    rows.done().remove(0)
}

/// Pins the operator to one core and everything else to another, where there are two cores and `taskset`.
pub fn pin(operator: u32, others: &[u32]) {
    if !pins() {
        return;
    }
    let mut places = vec![(operator, OPERATOR_CORE), (std::process::id(), OTHER_CORE)];
    places.extend(others.iter().map(|pid| (*pid, OTHER_CORE)));
    for (pid, core) in places {
        bind(&pid.to_string(), core, &["--all-tasks"]);
    }
}

/// Undoes [`pin`]: this process and the others may run on any core again.
pub fn unpin(others: &[u32]) {
    if !pins() {
        return;
    }
    let all = format!("0-{}", cores() - 1);
    for pid in std::iter::once(std::process::id()).chain(others.iter().copied()) {
        bind(&pid.to_string(), &all, &["--all-tasks"]);
    }
}

/// Pins the calling thread, and the threads that it starts, to the operator's core.
pub fn pin_thread() {
    if !pins() {
        return;
    }
    let thread = fs::read_link("/proc/thread-self").expect("a thread on Linux");
    let id = thread.file_name().and_then(|id| id.to_str());
    bind(id.expect("a number"), OPERATOR_CORE, &[]);
}

fn bind(id: &str, core: &str, flags: &[&str]) {
    let bound = Command::new("taskset")
        .args(flags)
        .args(["--cpu-list", "--pid", core, id])
        .stdout(Stdio::null())
        .status()
        .expect("taskset can be run");
    assert!(bound.success(), "process {id} can't be bound to a core");
}

fn pins() -> bool {
    let found = Command::new("taskset")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    cores() >= 2 && found.is_ok_and(|status| status.success())
}

/// The number of cores, including those that this process isn't pinned to.
fn cores() -> usize {
    let about = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = about.lines().filter(|line| line.starts_with("processor"));
    cores.count()
}

/// The CPU time of a process since its start.
pub fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process on Linux");
    // The name is in parentheses and may hold any character; user and system time are fields 14 and 15.
    let (_, rest) = stat.rsplit_once(')').expect("a name");
    let fields = rest.split_whitespace().skip(11).take(2);
    let ticks: u64 = fields
        .map(|ticks| ticks.parse::<u64>().expect("a number"))
        .sum();
    let second: u64 = said("getconf", &["CLK_TCK"]).parse().expect("a number");
    Duration::from_millis(ticks * 1000 / second)
}

/// The memory of a process in MiB: `VmRSS` is the current resident memory, `VmHWM` its peak.
pub fn memory(pid: u32, field: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process on Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
    let kib: u64 = kib.expect("a field").parse().expect("a number");
    bytes_to_mib(kib * 1024)
}

/// Resets the peak memory of a process to its current memory.
pub fn reset_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("a process of this user");
}

fn bytes_to_mib(bytes: u64) -> f64 {
    let kib = u32::try_from(bytes / 1024).expect("less than 4 TiB");
    (f64::from(kib) / 1024.0 * 100.0).round() / 100.0
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.expect("the program can be run");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
