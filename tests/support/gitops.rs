//! What Git tools make of objects, by Flux's own library.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::tool;

/// The kstatus result of each object: `Current`, `InProgress`, `Failed`, `Terminating`, `NotFound` or `Unknown`.
pub fn kstatus(objects: &[Value]) -> Vec<String> {
    let mut gitops = Command::new(tool::gitops())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program can be run");
    let lines = objects.iter().map(ToString::to_string);
    let lines = lines.collect::<Vec<_>>().join("\n");
    let mut pipe = gitops.stdin.take().expect("a pipe");
    // Both pipes are bounded, so that one is filled while the other is emptied.
    let writer = std::thread::spawn(move || pipe.write_all(lines.as_bytes()));
    let output = gitops.wait_with_output().expect("the program ends");
    assert!(output.status.success(), "the program failed");
    writer.join().expect("a writer").expect("all was read");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| {
            let answer: Value = serde_json::from_str(line).expect("a line of JSON");
            answer["status"].as_str().expect("a status").to_owned()
        })
        .collect()
}
