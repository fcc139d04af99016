//! Argo CD's health of the objects, and the effects of its actions.

use super::*;

#[test]
fn argo_cd_shows_each_reason_as_documented() {
    let states = states();
    for (state, seen) in states.iter().zip(argo_health(HEALTH, &objects(&states))) {
        assert_eq!(seen.status, argo_expects(state), "{}", state.object);
        let silent = state.deleted && state.progress == Progress::Done;
        assert!(silent || seen.message.ends_with(state.message), "{seen:?}");
    }
    let mut bare = unseen();
    bare.push(json!({"kind": "VersionPackage", "metadata": {"generation": 1}, "spec": {}}));
    bare.push(json!({"kind": "VersionPackage", "metadata": {"generation": 1}, "status": {"observedGeneration": 1}}));
    for seen in argo_health(HEALTH, &bare) {
        assert_eq!(seen.status, "Progressing", "{}", seen.message);
        assert_eq!(seen.message, "Waiting for the operator");
    }
    bare[0]["metadata"]["deletionTimestamp"] = json!("2026-11-23T08:00:00Z");
    let seen = argo_health(HEALTH, &bare[..1]).remove(0);
    assert_eq!(
        (&*seen.status, &*seen.message),
        ("Progressing", "Pending deletion")
    );
}

#[test]
fn scripts_need_only_the_libraries_of_argo_cd() {
    let object = [package(Reason::Active)];
    for (script, expected) in [
        ("return {status = 'Healthy', message = 'fine'}", "Healthy"),
        (
            "local os = require('os') os.time() table.insert({}, os.date('!%Y')) return {status = 'Healthy'}",
            "Healthy",
        ),
        ("return {status = string.format('Healthy')}", "Unknown"),
        ("return {status = ('Healthy'):sub(1)}", "Unknown"),
        ("math.floor(1) return {status = 'Healthy'}", "Unknown"),
        ("os.time() return {status = 'Healthy'}", "Unknown"),
        (
            "require('os').getenv('HOME') return {status = 'Healthy'}",
            "Unknown",
        ),
        ("while true do end", "Unknown"),
        ("return {status = 'Fine'}", "Unknown"),
        ("return 'Healthy'", "Unknown"),
        ("return", "Unknown"),
    ] {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), script).unwrap();
        let seen = argo_health(file.path().to_str().unwrap(), &object).remove(0);
        assert_eq!(seen.status, expected, "{script}: {}", seen.message);
    }
}

fn actions_folder(kind: &str) -> String {
    format!("docs/argocd/actions/{kind}")
}

/// The actions of a kind, by their files.
fn actions(kind: &str) -> BTreeSet<String> {
    fs::read_dir(tool::root().join(actions_folder(kind)))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(".lua").unwrap().to_owned())
        .filter(|name| name != "discovery")
        .collect()
}

/// The actions that Argo CD enables for each object.
fn enabled(kind: &str, objects: &[Value]) -> Vec<Vec<String>> {
    let script = format!("{}/discovery.lua", actions_folder(kind));
    let all = actions(kind);
    let of_one = |offered: BTreeMap<String, bool>| {
        assert_eq!(offered.keys().cloned().collect::<BTreeSet<_>>(), all);
        let enabled = offered.into_iter().filter(|(_, enabled)| *enabled);
        enabled.map(|(name, _)| name).collect()
    };
    argo_actions(&script, objects)
        .into_iter()
        .map(of_one)
        .collect()
}

fn run(action: &str, kind: &str, objects: &[Value]) -> Vec<Value> {
    let folder = actions_folder(kind);
    argo_action(&format!("{folder}/{action}.lua"), objects)
}

fn annotated(annotations: &Value) -> Value {
    json!({"metadata": {"annotations": annotations}})
}

#[test]
fn pausing_and_resuming_by_argo_cd_change_the_annotation_and_nothing_else() {
    let kind = "VersionPackage";
    let plain = of_kind(kind);
    let with = |annotations: Value| -> Vec<Value> {
        let mut objects = plain.clone();
        for object in &mut objects {
            object["metadata"]["annotations"] = annotations.clone();
        }
        objects
    };
    let (paused, ours) = (json!({"iodm.dev/paused": "true"}), "iodm.dev/paused");
    let each = |patch: Value| vec![annotated(&patch); plain.len()];
    assert_eq!(enabled(kind, &plain), vec![["pause", "retry"]; plain.len()]);
    assert_eq!(run("pause", kind, &plain), each(paused.clone()));
    let teams = with(json!({"team": "meters"}));
    assert_eq!(run("pause", kind, &teams), each(paused.clone()));

    let alone = with(paused);
    assert_eq!(
        enabled(kind, &alone),
        vec![["resume", "retry"]; plain.len()]
    );
    assert_eq!(run("resume", kind, &alone), each(Value::Null));
    // Any value but "false" holds a deletion.
    for (value, offered) in [("yes", "resume"), ("", "resume"), ("false", "pause")] {
        let odd = with(json!({ours: value}));
        let offered = vec![[offered, "retry"]; plain.len()];
        assert_eq!(enabled(kind, &odd), offered, "{value}");
    }
    let both = with(json!({"team": "meters", ours: "true"}));
    assert_eq!(run("resume", kind, &both), each(json!({ours: null})));
}

#[test]
fn retrying_by_argo_cd_sets_the_current_time() {
    let mut object = package(Reason::UnexpectedAnswer);
    object["metadata"]["annotations"] = json!({"iodm.dev/requested-at": "before"});
    let patch = run("retry", "VersionPackage", &[object]).remove(0);
    let at = patch["metadata"]["annotations"]["iodm.dev/requested-at"].clone();
    assert_eq!(patch, annotated(&json!({"iodm.dev/requested-at": at})));
    let at: Timestamp = at.as_str().unwrap().parse().unwrap();
    assert!(at.duration_until(Timestamp::now()).as_secs().abs() < 60);
}

#[test]
fn releasing_by_argo_cd_names_the_current_hold() {
    let kind = "Platform";
    let mut objects = of_kind(kind);
    objects.extend(unseen().into_iter().filter(|o| o["kind"] == kind));
    let said = enabled(kind, &objects)
        .into_iter()
        .zip(run("release-hold", kind, &objects));
    let mut held = 0;
    for (object, (enabled, patch)) in objects.iter().zip(said) {
        if object["status"].get("hold").is_some() {
            held += 1;
            assert_eq!(enabled, ["release-hold"]);
            assert_eq!(patch, annotated(&json!({"iodm.dev/release-hold": "h-3"})));
        } else {
            assert!(enabled.is_empty(), "{object}");
            assert_eq!(patch, json!({}));
        }
    }
    assert_eq!(held, 2);
}

/// Fields that Argo CD may ignore: numbers and notes that change without affecting the health or its message.
fn ignored(kind: &str) -> &'static [&'static str] {
    if kind == "Platform" {
        &[
            "/status/session",
            "/status/packages",
            "/status/queue",
            "/status/guard",
        ]
    } else {
        &[
            "/status/application",
            "/status/package",
            "/status/deletion",
            "/status/lastHandledRequestedAt",
        ]
    }
}

/// `text` as a YAML block under `key`.
fn block(key: &str, text: &str) -> String {
    let mut block = format!("{key}: |\n");
    for line in text.lines() {
        let line = format!("  {line}");
        writeln!(block, "{}", line.trim_end()).unwrap();
    }
    block
}

/// The patch of Argo CD's settings with all scripts.
fn argocd_cm() -> String {
    let mut data = String::new();
    for kind in KINDS {
        let key = |what: &str| format!("resource.customizations.{what}.iodm.dev_{kind}");
        data.push_str(&block(&key("health"), &read(HEALTH)));
        let folder = actions_folder(kind);
        let mut scripts = block("discovery.lua", &read(&format!("{folder}/discovery.lua")));
        scripts.push_str("definitions:\n");
        for action in actions(kind) {
            let script = read(&format!("{folder}/{action}.lua"));
            let definition = format!("name: {action}\n{}", block("action.lua", &script));
            let indented = block("", &definition);
            let indented = indented.split_once('\n').unwrap().1;
            scripts.push_str(&indented.replacen("  ", "- ", 1));
        }
        data.push_str(&block(&key("actions"), &scripts));
        let pointers: Vec<_> = ignored(kind).iter().map(|p| format!("- {p}")).collect();
        let pointers = format!("jsonPointers:\n{}", pointers.join("\n"));
        data.push_str(&block(&key("ignoreResourceUpdates"), &pointers));
    }
    format!(
        "# kubectl -n argocd patch configmap argocd-cm --type=merge --patch-file docs/argocd/argocd-cm.yaml\n\
         # Made of the scripts beside it: UPDATE_DOCS=1 cargo test --test gitops_tools\n{}",
        block("data", &data).replacen("data: |", "data:", 1)
    )
}

#[test]
fn the_settings_for_argo_cd_contain_the_scripts_unchanged() {
    let path = "docs/argocd/argocd-cm.yaml";
    let wanted = argocd_cm();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(tool::root().join(path), &wanted).unwrap();
    }
    assert!(
        read(path) == wanted,
        "run UPDATE_DOCS=1 cargo test --test gitops_tools"
    );
    let settings: Value = serde_saphyr::from_str(&wanted).unwrap();
    let inner = |key: &str| -> Value {
        let text = settings["data"][key]
            .as_str()
            .unwrap_or_else(|| panic!("no {key}"));
        serde_saphyr::from_str(text).unwrap()
    };
    for kind in KINDS {
        let key = |what: &str| format!("resource.customizations.{what}.iodm.dev_{kind}");
        assert_eq!(settings["data"][key("health")], read(HEALTH));
        let actions_said = inner(&key("actions"));
        let folder = actions_folder(kind);
        assert_eq!(
            actions_said["discovery.lua"],
            read(&format!("{folder}/discovery.lua"))
        );
        let definitions = actions_said["definitions"].as_array().unwrap();
        assert_eq!(definitions.len(), actions(kind).len());
        for definition in definitions {
            let name = definition["name"].as_str().unwrap();
            assert_eq!(
                definition["action.lua"],
                read(&format!("{folder}/{name}.lua"))
            );
        }
        let pointers = inner(&key("ignoreResourceUpdates"));
        assert_eq!(pointers, json!({"jsonPointers": ignored(kind)}));
    }
}

#[test]
fn fields_that_argo_cd_ignores_exist_and_do_not_affect_health() {
    for kind in KINDS {
        let objects = of_kind(kind);
        let mut stripped = objects.clone();
        for pointer in ignored(kind) {
            assert!(
                objects.iter().any(|o| o.pointer(pointer).is_some()),
                "{kind} {pointer}"
            );
            let field = pointer.strip_prefix("/status/").unwrap();
            for object in &mut stripped {
                object["status"].as_object_mut().unwrap().remove(field);
            }
        }
        let said = |objects: &[Value]| -> Vec<(String, String)> {
            let seen = argo_health(HEALTH, objects).into_iter();
            seen.map(|health| (health.status, health.message)).collect()
        };
        assert_eq!(said(&objects), said(&stripped));
    }
}
