//! An audit log whose write hangs: nobody waits for it, nothing new is deleted meanwhile, and the statuses give the
//! reason.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use super::support::{Plane, ready, tool};
use super::*;

/// The default capacity of a pipe.
const PIPE: usize = 64 << 10;
/// More objects than passes may use the API server at the same time.
const MANY: usize = 20;

fn layout() -> Layout<'static> {
    Layout {
        simulator: SimulatorOptions {
            packages: MANY + 10,
            quota_window: "1s",
            ..SimulatorOptions::default()
        },
        platform: json!({"quota": {"calls": 100, "window": "1s"}, "guard": unguarded()}),
    }
}

/// A full pipe: a write blocks until the pipe is read.
fn full_pipe(folder: &tempfile::TempDir) -> (PathBuf, File) {
    let fifo = folder.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let mut both = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&fifo)
        .unwrap();
    both.write_all(&vec![b'\n'; PIPE]).unwrap();
    (fifo, both)
}

/// Checks that nothing is sent for `name`, and that object and Platform give the reason.
async fn nothing_is_sent(rig: &Rig<'_>, name: &str, file_id: &str) {
    let platform = rig.platform_reason("production", "AuditFailed").await;
    assert_eq!(ready(&platform)["status"], "False");
    rig.delete(name);
    let object = rig.reason(name, "AuditFailed").await;
    let message = ready(&object)["message"].to_string();
    assert!(message.contains("Nothing is sent"), "{message}");
    assert!(rig.deletes(file_id).await.is_empty());
}

#[tokio::test]
async fn a_hanging_volume_stops_deletions_and_nothing_else() {
    let (_turn, plane) = alone().await;
    let rig = Rig::on(plane, "hangs", layout()).await;
    let trail = Trail::new();
    let operator = trail.operator(&rig).await;
    let names: Vec<String> = (1..=MANY).map(name).collect();
    let kept: Vec<Value> = names
        .iter()
        .map(|name| rig.manifest(name, name, &json!({"deletionPolicy": "Retain"})))
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": kept});
    plane.apply(&list.to_string()).expect_ok();
    for name in &names {
        rig.reason(name, "Active").await;
    }
    let [first, second, third] = [MANY + 1, MANY + 2, MANY + 3].map(name);
    rig.active(&[(&first, &first), (&second, &second)]).await;
    // A separate folder, as every file beside the log is read.
    let folder = tempfile::tempdir().unwrap();
    let (fifo, mut pipe) = full_pipe(&folder);
    trail.point_to(&fifo);

    rig.delete(&first);
    wait_for("the package to be deleted", SOON, async || {
        (!rig.simulator.has(&first).await).then_some(())
    })
    .await;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    rig.delete_all(&names);
    nothing_is_sent(&rig, &second, &second).await;
    // Work without a deletion continues.
    rig.active(&[(&third, &third)]).await;
    for name in &names {
        assert!(
            rig.get(name).await.is_some(),
            "{name} went without its line"
        );
    }

    let mended = trail.folder.path().join("mended.log");
    trail.point_to(&mended);
    pipe.read_exact(&mut vec![0; PIPE]).unwrap();
    for name in names.iter().chain([&&*first, &&*second]) {
        rig.gone(name).await;
    }
    for name in names.iter().chain([&&*first, &&*second]) {
        assert!(!trail.of(&rig, name).is_empty(), "{name} has no line");
    }
    for file_id in [&first, &second] {
        assert_eq!(rig.deletes(file_id).await.len(), 1, "{file_id}");
    }
    rig.platform_reason("production", "Available").await;
    drop(operator);
}

/// An operator whose outputs belong to the test; killed when dropped.
struct Bare {
    child: Child,
    admin: String,
}

impl Bare {
    fn start(plane: &Plane, stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = free.local_addr().unwrap().to_string();
        drop(free);
        let child = Command::new(tool::vpo())
            .args(["run", "--admin-listen", &admin, "--log", "trace"])
            .env("KUBECONFIG", plane.kubeconfig_for(OPERATOR, OPERATOR))
            .env("POD_NAMESPACE", OPERATOR)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap();
        Self { child, admin }
    }

    async fn page(&self, page: &str) -> Option<String> {
        let answer = reqwest::Client::new()
            .get(format!("http://{}{page}", self.admin))
            .timeout(Duration::from_secs(2));
        let answer = answer.send().await.ok()?.error_for_status().ok()?;
        answer.text().await.ok()
    }

    async fn ready(&self) {
        wait_for("the operator to be ready", SOON, async || {
            self.page("/readyz").await
        })
        .await;
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn unread_outputs_block_nothing_and_no_deletion_lacks_its_line() {
    let (_turn, plane) = alone().await;
    super::support::install_crypto();
    let rig = Rig::on(plane, "unread", layout()).await;
    let (mut lines, mut stdout) = std::io::pipe().unwrap();
    let (_logs, mut stderr) = std::io::pipe().unwrap();
    stdout.write_all(&vec![b'\n'; PIPE]).unwrap();
    stderr.write_all(&vec![b'\n'; PIPE]).unwrap();
    let operator = Bare::start(plane, stdout, stderr);
    operator.ready().await;
    let [first, second, third] = [1, 2, 3].map(name);
    rig.active(&[(&first, &first), (&second, &second)]).await;
    rig.delete(&first);
    rig.reason(&first, "AuditFailed").await;
    nothing_is_sent(&rig, &second, &second).await;
    rig.active(&[(&third, &third)]).await;
    assert!(operator.page("/livez").await.is_some());
    let metrics = operator.page("/metrics").await.unwrap();
    assert!(metrics.contains("vpo_log_lines_dropped_total"), "{metrics}");

    let mut read = vec![0; PIPE];
    lines.read_exact(&mut read).unwrap();
    rig.gone(&first).await;
    rig.gone(&second).await;
    for file_id in [&first, &second] {
        assert_eq!(rig.deletes(file_id).await.len(), 1, "{file_id}");
    }
    drop(operator);
    let mut text = String::new();
    lines.read_to_string(&mut text).unwrap();
    for name in [&first, &second] {
        assert_eq!(
            text.matches(&format!("\"name\":\"{name}\"")).count(),
            1,
            "{text}"
        );
    }
}
