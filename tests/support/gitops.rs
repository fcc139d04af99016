//! Runs the code of Git tools on objects.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Plane, tool};

/// A tool's health result for an object.
#[derive(Debug, Deserialize)]
pub struct Health {
    /// The health, such as `Current` (Flux) or `Healthy` (Argo CD).
    pub status: String,
    /// The reason; empty where the tool gives none.
    pub message: String,
}

/// The kstatus result of each object: `Current`, `InProgress`, `Failed`, `Terminating`, `NotFound` or `Unknown`.
pub fn kstatus(objects: &[Value]) -> Vec<String> {
    statuses(ask(&["kstatus"], objects))
}

/// The result of each object by the `healthCheckExprs` of a Flux Kustomization, given by its path in the checkout.
pub fn flux_health(kustomization: &str, objects: &[Value]) -> Vec<String> {
    statuses(ask(&["cel", kustomization], objects))
}

/// The health of each object by a Lua script of Argo CD.
pub fn argo_health(script: &str, objects: &[Value]) -> Vec<Health> {
    ask(&["health", script], objects)
}

/// The Argo CD actions that a discovery script returns for each object, and whether each action is enabled.
pub fn argo_actions(script: &str, objects: &[Value]) -> Vec<BTreeMap<String, bool>> {
    ask(&["actions", script], objects)
}

/// The merge patch of Argo CD for an action on each object.
pub fn argo_action(script: &str, objects: &[Value]) -> Vec<Value> {
    ask(&["action", script], objects)
}

/// A Git folder that Flux applies, revision by revision.
pub struct Flux<'a> {
    plane: &'a Plane,
    kustomization: &'a str,
    inventory: Vec<Value>,
}

/// The result of one revision. Objects are named as `VersionPackage/fleet/meter-fw`.
#[derive(Debug, Deserialize)]
pub struct Revision {
    /// The objects with `created`, `configured` or `unchanged`.
    pub applied: BTreeMap<String, String>,
    /// The objects with `deleted` or `skipped`; `None` where the Kustomization doesn't prune.
    pub pruned: Option<BTreeMap<String, String>>,
    /// The error of the health check; empty where it succeeded.
    pub unhealthy: String,
}

impl<'a> Flux<'a> {
    /// A folder with the settings of a Kustomization, given by its path in the checkout. Applies nothing yet.
    pub fn new(plane: &'a Plane, kustomization: &'a str) -> Self {
        Self {
            plane,
            kustomization,
            inventory: Vec::new(),
        }
    }

    /// Applies the objects of a revision, prunes those that it lacks, and waits for the health check.
    pub fn reconcile(&mut self, objects: &[Value]) -> Revision {
        let source = json!({"objects": objects, "inventory": self.inventory});
        self.inventory = objects.to_vec();
        let kubeconfig = self.plane.kubeconfig().to_owned();
        let arguments = ["reconcile", self.kustomization];
        let said = run(&arguments, Some(kubeconfig), source.to_string());
        serde_json::from_str(&said).expect("one line of JSON")
    }
}

fn statuses(answers: Vec<Health>) -> Vec<String> {
    answers.into_iter().map(|health| health.status).collect()
}

fn ask<T: for<'a> Deserialize<'a>>(arguments: &[&str], objects: &[Value]) -> Vec<T> {
    let lines: Vec<String> = objects.iter().map(ToString::to_string).collect();
    let answers: Vec<T> = run(arguments, None, lines.join("\n"))
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect();
    assert_eq!(answers.len(), objects.len());
    answers
}

fn run(arguments: &[&str], kubeconfig: Option<PathBuf>, input: String) -> String {
    let mut gitops = Command::new(tool::gitops())
        .args(arguments)
        .envs(kubeconfig.map(|path| ("KUBECONFIG", path)))
        .current_dir(tool::root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be run");
    let mut pipe = gitops.stdin.take().expect("a pipe");
    // Both pipes are bounded, so one is filled while the other is read.
    let writer = std::thread::spawn(move || pipe.write_all(input.as_bytes()));
    let output = gitops.wait_with_output().expect("the program ends");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "gitops {arguments:?}: {complaint}");
    writer.join().expect("a writer").expect("all was read");
    String::from_utf8(output.stdout).expect("UTF-8")
}
