//! The needs of a process on its machine: file descriptors, and a port for both address families.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::net::TcpListener;
use std::time::Duration;

use support::{Process, install_crypto, tool, wait_for};

const SOON: Duration = Duration::from_secs(20);

/// Starts `vpo run` below this shell line, for a cluster that never answers.
fn start(folder: &std::path::Path, line: &str) -> Process {
    let kubeconfig = folder.join("kubeconfig");
    let config = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    });
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    let arguments = ["-c", line];
    Process::start(
        "sh",
        arguments,
        [
            ("KUBECONFIG", kubeconfig.as_os_str()),
            ("VPO", tool::vpo().as_os_str()),
        ],
    )
}

async fn log_line(process: &Process, word: &str) -> String {
    wait_for(word, SOON, async || {
        let log = process.stderr();
        log.into_iter().find(|line| line.contains(word))
    })
    .await
}

#[tokio::test]
async fn the_soft_limit_of_descriptors_is_raised_to_the_hard_limit_and_logged() {
    let folder = tempfile::tempdir().unwrap();
    let line = "ulimit -S -n 99; ulimit -H -n 4321; exec \"$VPO\" run --admin-listen 127.0.0.1:0";
    let process = start(folder.path(), line);
    let said = log_line(&process, "starting").await;
    assert!(said.contains("4321, raised from 99"), "{said}");
    let limits = format!("/proc/{}/limits", process.id().await);
    let limits = std::fs::read_to_string(limits).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let files: Vec<_> = files.unwrap().split_whitespace().collect();
    assert_eq!(files[3..5], ["4321", "4321"]);
}

#[tokio::test]
async fn empty_variables_and_a_port_alone_prevent_no_start() {
    install_crypto();
    let folder = tempfile::tempdir().unwrap();
    let line = "VPO_AUDIT_LOG= VPO_LOG= VPO_LOG_FORMAT= VPO_CALL_TIMEOUT= VPO_ADMIN_LISTEN=:0 exec \"$VPO\" run";
    let process = start(folder.path(), line);
    let said = log_line(&process, "starting").await;
    let port = said.split_once("admin=").unwrap().1;
    let port = port.split_whitespace().next().unwrap();
    let port = port.rsplit(':').next().unwrap();
    let alive = reqwest::get(format!("http://127.0.0.1:{port}/livez")).await;
    assert!(alive.unwrap().status().is_success(), "{said}");
}

#[tokio::test]
async fn probes_are_answered_over_both_address_families() {
    install_crypto();
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let line = format!("exec \"$VPO\" run --admin-listen '[::]:{port}'");
    let process = start(folder.path(), &line);
    log_line(&process, "starting").await;
    let mut hosts = vec!["127.0.0.1"];
    // Not every machine has IPv6.
    if TcpListener::bind("[::1]:0").is_ok() {
        hosts.push("[::1]");
    }
    for host in hosts {
        let said = reqwest::get(format!("http://{host}:{port}/livez")).await;
        assert!(said.unwrap().status().is_success(), "{host}");
    }
}
