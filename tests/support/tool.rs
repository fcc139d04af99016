//! The Go programs of the tests: built on first use, then taken from the cache.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// The root of the checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program under test: the one that cargo built for the tests, or the one named by `VPO_PROGRAM`.
pub fn vpo() -> PathBuf {
    std::env::var_os("VPO_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_vpo").into(), PathBuf::from)
}

/// The folder with etcd, kube-apiserver, kube-controller-manager and kubectl.
pub fn control_plane() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| built("control-plane"));
    &FOLDER
}

/// The program that starts other programs and ends them with their owner.
pub fn starter() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| built("starter").join("starter"));
    &PROGRAM
}

/// The program that runs the code of Git tools on objects.
pub fn gitops() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| built("gitops").join("gitops"));
    &PROGRAM
}

/// The program helm.
pub fn helm() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| built("helm").join("helm"));
    &PROGRAM
}

fn built(name: &str) -> PathBuf {
    let output = Command::new(root().join("tests/build-tool"))
        .arg(name)
        .stderr(Stdio::inherit())
        .output()
        .expect("tests/build-tool can be run");
    assert!(output.status.success(), "tests/build-tool {name} failed");
    let folder = String::from_utf8(output.stdout).expect("a folder in UTF-8");
    PathBuf::from(folder.trim_end())
}
