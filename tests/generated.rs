//! The definitions under `crds/` are what the types say.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use version_package_operator::api::crds;

#[test]
fn the_definitions_in_the_repository_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let mut expected = BTreeSet::new();
    let mut stream = String::new();
    for definition in crds::definitions() {
        let file = format!("{}.yaml", definition.metadata.name.as_deref().unwrap());
        let text = std::fs::read_to_string(folder.join(&file))
            .unwrap_or_else(|error| panic!("crds/{file}: {error}; run `make generate`"));
        stream.extend(["---\n", &text]);
        expected.insert(file);
    }
    let found: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, expected, "files under crds/");

    let printed = Command::new(env!("CARGO_BIN_EXE_vpo"))
        .arg("crds")
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&printed.stdout) == stream,
        "crds/ differs from the types: run `make generate`"
    );
}
