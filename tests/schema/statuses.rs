//! Every status that can be written, and kubectl's description of the fields.

use super::*;

#[tokio::test]
async fn kubectl_explain_describes_every_field() {
    let document: Value = wait_for("the published schema", PUBLISHED, async || {
        let said = plane().kubectl(&["get", "--raw", "/openapi/v3/apis/iodm.dev/v1alpha1"]);
        serde_json::from_str(&said.stdout)
            .ok()
            .filter(|document: &Value| {
                SCHEMAS
                    .iter()
                    .all(|name| document["components"]["schemas"][name].is_object())
            })
    })
    .await;
    let schemas = &document["components"]["schemas"];
    let mut fields = 0;
    for kind in SCHEMAS {
        let schema = &schemas[kind];
        assert!(described(schema), "{kind} has no description");
        walk(kind, schema, &mut |path, field| {
            fields += 1;
            assert!(described(field), "{path} has no description");
        });
    }
    assert!(fields > 70, "only {fields} fields were found");
    for (path, words) in [
        ("vp.spec.fileId", "platform's id of the package"),
        ("vp.status.deletion.outcome", "The outcome of a deletion"),
        ("platform.spec.quota.window", "length of the window"),
    ] {
        wait_for(
            &format!("the words {words:?} for {path}"),
            PUBLISHED,
            async || {
                let text = plane().kubectl(&["explain", path]).stdout;
                // kubectl wraps the lines.
                text.split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ")
                    .contains(words)
                    .then_some(())
            },
        )
        .await;
    }
}

const SCHEMAS: [&str; 2] = [
    "dev.iodm.v1alpha1.VersionPackage",
    "dev.iodm.v1alpha1.Platform",
];

fn described(schema: &Value) -> bool {
    schema["description"]
        .as_str()
        .is_some_and(|text| !text.trim().is_empty())
}

fn walk(path: &str, schema: &Value, look: &mut impl FnMut(&str, &Value)) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        look(&path, field);
        walk(&path, field, look);
    }
    if schema["items"].is_object() {
        walk(&format!("{path}[]"), &schema["items"], look);
    }
}

#[test]
fn every_status_that_can_be_written_is_accepted_and_its_tables_fit_120_columns() {
    let namespace = plane().namespace("tables");
    let thirty = |number: usize| format!("meter-firmware-europe-north-{number:02}");
    let now = "2026-11-23T08:00:00Z".parse().unwrap();
    let mut objects = Vec::new();
    for number in 0..Reason::ALL.len() {
        let object = with(
            version_package(),
            "fileId",
            &json!(format!("0a1b2c{number:02}")),
        );
        objects.push(named(&namespace, &thirty(number), object));
    }
    for number in 0..PlatformReason::ALL.len() {
        objects.push(named(&namespace, &thirty(number), platform()));
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    plane().apply(&list.to_string()).expect_ok();

    for (number, reason) in Reason::ALL.iter().enumerate() {
        let verdict = Statement {
            progress: reason.phase().progress(),
            reason: reason.as_str(),
            message: reason.meaning(),
            generation: 1,
        };
        let outcome = Outcome::ALL[number % Outcome::ALL.len()];
        patch_status(
            &namespace,
            "vp",
            &thirty(number),
            &json!({"status": {
                "observedGeneration": 1,
                "phase": reason.phase(),
                "conditions": merge(&[], &verdict, now),
                "package": {"version": "V1.1.10"},
                "deletion": {"outcome": outcome},
            }}),
        );
    }
    for (number, reason) in PlatformReason::ALL.iter().enumerate() {
        let verdict = Statement {
            progress: reason.progress(),
            reason: reason.as_str(),
            message: reason.meaning(),
            generation: 1,
        };
        patch_status(
            &namespace,
            "platform",
            &thirty(number),
            &json!({"status": {
                "observedGeneration": 1,
                "conditions": merge(&[], &verdict, now),
                "session": {"appId": "app-1"},
                "queue": {"length": 10_000},
            }}),
        );
    }

    for arguments in [
        &["get", "vp"][..],
        &["get", "vp", "-o", "wide"],
        &["get", "platform"],
        &["get", "iodm"],
    ] {
        let table = plane()
            .kubectl(&[arguments, &["-n", &namespace]].concat())
            .expect_ok();
        println!("kubectl {}\n{table}", arguments.join(" "));
        let widest = table
            .lines()
            .map(|line| line.trim_end().chars().count())
            .max();
        assert!(widest <= Some(120), "{widest:?} columns");
    }
    let reasons: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    let table = plane()
        .kubectl(&["get", "vp", "-n", &namespace])
        .expect_ok();
    assert!(reasons.iter().all(|reason| table.contains(reason)));
}
