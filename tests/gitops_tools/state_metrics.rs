//! kube-state-metrics on the objects.

use super::*;

/// Resolves a path of kube-state-metrics: field names, or `[type=Ready]` for an item of a list.
fn resolve<'a>(object: &'a Value, path: &Value) -> Option<&'a Value> {
    path.as_array()
        .unwrap()
        .iter()
        .try_fold(object, |value, part| {
            let part = part.as_str().unwrap();
            match part
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                Some(lookup) => {
                    let (key, wanted) = lookup.split_once('=').unwrap();
                    value.as_array()?.iter().find(|item| item[key] == wanted)
                }
                None => value.get(part),
            }
        })
}

fn state_metrics() -> Vec<Value> {
    let file: Value =
        serde_saphyr::from_str(&read("docs/kube-state-metrics/customresourcestate.yaml")).unwrap();
    assert_eq!(file["kind"], "CustomResourceStateMetrics");
    file["spec"]["resources"].as_array().unwrap().clone()
}

#[test]
fn every_path_for_kube_state_metrics_leads_to_a_value_of_its_type() {
    let resources = state_metrics();
    let kinds = resources.iter().map(|r| &r["groupVersionKind"]["kind"]);
    assert_eq!(kinds.collect::<Vec<_>>(), KINDS);
    for resource in &resources {
        let kind = &resource["groupVersionKind"];
        let expected = json!({"group": "iodm.dev", "version": "v1alpha1", "kind": kind["kind"]});
        assert_eq!(kind, &expected);
        let objects = of_kind(kind["kind"].as_str().unwrap());
        let values = |path: &Value| -> Vec<&Value> {
            let found: Vec<_> = objects.iter().filter_map(|o| resolve(o, path)).collect();
            assert!(!found.is_empty(), "{path} leads nowhere on any {kind}");
            found
        };
        let labels = |labels: &Value| {
            for (label, path) in labels.as_object().into_iter().flatten() {
                assert!(values(path).iter().all(|v| v.is_string()), "{label}");
            }
        };
        labels(&resource["labelsFromPath"]);
        for metric in resource["metrics"].as_array().unwrap() {
            let each = &metric["each"];
            match each["type"].as_str().unwrap() {
                "Info" => {
                    assert!(metric["name"].as_str().unwrap().ends_with("info"));
                    labels(&each["info"]["labelsFromPath"]);
                }
                "StateSet" => {
                    let listed = each["stateSet"]["list"].as_array().unwrap();
                    let found = values(&each["stateSet"]["path"]);
                    assert!(found.iter().all(|v| listed.contains(v)), "{metric}");
                    assert!(listed.iter().all(|v| found.contains(&v)), "{metric}");
                }
                "Gauge" => {
                    for value in values(&each["gauge"]["path"]) {
                        let time = || value.as_str()?.parse::<Timestamp>().ok();
                        assert!(value.is_number() || time().is_some(), "{metric}");
                    }
                }
                other => panic!("{other} is no type of kube-state-metrics"),
            }
        }
    }
}

#[test]
fn the_values_for_kube_state_metrics_match_the_enums() {
    let mut lists = BTreeMap::new();
    for resource in state_metrics() {
        let kind = resource["groupVersionKind"]["kind"]
            .as_str()
            .unwrap()
            .to_owned();
        for metric in resource["metrics"].as_array().unwrap() {
            let list = metric["each"]["stateSet"]["list"].clone();
            if list.is_array() {
                let name = metric["name"].as_str().unwrap();
                lists.insert(format!("{kind} {name}"), list);
            }
        }
    }
    let reasons = PlatformReason::ALL.iter().map(|r| r.as_str());
    let wanted = [
        ("VersionPackage phase", json!(Phase::ALL)),
        ("Platform mode", json!([Mode::Enforce, Mode::Observe])),
        ("Platform reason", json!(reasons.collect::<Vec<_>>())),
    ];
    let wanted = wanted.map(|(name, list)| (name.to_owned(), list));
    assert_eq!(lists, BTreeMap::from(wanted));
}
