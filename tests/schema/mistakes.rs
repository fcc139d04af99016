//! Every mistake, and the message of its refusal.

use super::*;

/// A field, an invalid value, and the text that the refusal must contain besides the field.
type Mistakes = Vec<(&'static str, Value, &'static str)>;

fn version_package_mistakes() -> Mistakes {
    let name = "lower-case letters, digits, '-' or '.', with a letter or digit at both ends";
    let namespace = "lower-case letters, digits or '-', with a letter or digit at both ends";
    let file_id = "fileId must be letters, digits, '-', '.', '_' or '~', and neither '.' nor '..'";
    let lifecycle = r#"supported values: "Active", "Retired""#;
    vec![
        ("fileId", json!(ABSENT), "Required value"),
        ("fileId", json!(""), "at least 1 char"),
        (
            "fileId",
            json!("x".repeat(257)),
            "may not be more than 256 bytes",
        ),
        ("fileId", json!("a/b"), file_id),
        ("fileId", json!("a b"), file_id),
        ("fileId", json!("a%2Fb"), file_id),
        ("fileId", json!("a?b"), file_id),
        ("fileId", json!("zähler"), file_id),
        ("fileId", json!("a\n"), file_id),
        ("fileId", json!("."), file_id),
        ("fileId", json!(".."), file_id),
        ("fileId", json!(7), "must be of type string"),
        ("fileID", json!("a"), "unknown field"),
        ("platformRef", json!(ABSENT), "Required value"),
        ("platformRef", json!("production"), "must be of type object"),
        ("platformRef.name", json!(ABSENT), "Required value"),
        ("platformRef.name", json!(""), "at least 1 char"),
        ("platformRef.name", json!("Production"), name),
        (
            "platformRef.name",
            json!("a".repeat(254)),
            "may not be more than 253 bytes",
        ),
        ("platformRef.namespace", json!("a.b"), namespace),
        (
            "platformRef.namespace",
            json!("a".repeat(64)),
            "may not be more than 63 bytes",
        ),
        ("lifecycle", json!("Deleted"), lifecycle),
        ("lifecycle", json!("retired"), lifecycle),
        (
            "retireAfter",
            json!("tomorrow"),
            "must be of type date-time",
        ),
        (
            "retireAfter",
            json!("2026-12-24"),
            "must be of type date-time",
        ),
        (
            "deletionPolicy",
            json!("Orphan"),
            r#"supported values: "Delete", "Retain""#,
        ),
        ("expect.vendor", json!("ACME"), "unknown field"),
        (
            "expect",
            json!({}),
            "expect must name at least one of name, version, fileType, deviceType, model and manufacturerName",
        ),
        (
            "expect.version",
            json!(""),
            "should be at least 1 chars long",
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "one list, a line for each mistake")]
fn platform_mistakes() -> Mistakes {
    let endpoint = "endpoint must be an https URL such as https://iot.example.com:8743, without user, password, query or fragment";
    let window = "window must be from 1s to 1h, such as 60s";
    let secret = "the name of a Secret must be lower-case letters";
    let selector = "allowedNamespaces.selector must be given with from: Selector, and only then";
    let operators = "takes the operators In and NotIn with values, Exists and DoesNotExist without";
    let expression = |expression: Value| json!({"from": "Selector", "selector": {"matchExpressions": [expression]}});
    vec![
        ("endpoint", json!(ABSENT), "Required value"),
        ("endpoint", json!("http://iot.example.com:8743"), endpoint),
        ("endpoint", json!("iot.example.com:8743"), endpoint),
        ("endpoint", json!("https://"), endpoint),
        ("endpoint", json!("https:///iocm"), endpoint),
        (
            "endpoint",
            json!("https://user:password@iot.example.com"),
            endpoint,
        ),
        ("endpoint", json!("https://iot.example.com?a=b"), endpoint),
        ("endpoint", json!("https://iot.example.com#a"), endpoint),
        ("endpoint", json!("https://iot.example.com:99999"), endpoint),
        (
            "endpoint",
            json!(format!("https://{}", "h".repeat(1020))),
            "may not be more than 1024 bytes",
        ),
        ("credentialsSecretRef", json!(ABSENT), "Required value"),
        ("credentialsSecretRef.name", json!(ABSENT), "Required value"),
        ("credentialsSecretRef.name", json!("IoT_app"), secret),
        ("tls.caSecretRef", json!({"name": "-"}), secret),
        (
            "tls.clientCertSecretRef",
            json!("iot-client"),
            "must be of type object",
        ),
        (
            "tls.serverName",
            json!("https://iot"),
            "serverName must be a host name or an IP address, such as iot.example.com",
        ),
        ("tls.insecureSkipVerify", json!(true), "unknown field"),
        (
            "quota.calls",
            json!(0),
            "should be greater than or equal to 1",
        ),
        (
            "quota.calls",
            json!(10_001),
            "should be less than or equal to 10000",
        ),
        ("quota.calls", json!("100"), "must be of type integer"),
        ("quota.window", json!("60"), window),
        ("quota.window", json!("999ms"), window),
        ("quota.window", json!("0s"), window),
        ("quota.window", json!("61m"), window),
        ("quota.window", json!("99999999999h"), window),
        ("quota.window", json!(60), "must be of type string"),
        (
            "mode",
            json!("DryRun"),
            r#"supported values: "Enforce", "Observe""#,
        ),
        (
            "allowedNamespaces.from",
            json!("Some"),
            r#"supported values: "Same", "All", "Selector""#,
        ),
        ("allowedNamespaces", json!({"from": "Selector"}), selector),
        (
            "allowedNamespaces",
            json!({"from": "All", "selector": {}}),
            selector,
        ),
        (
            "allowedNamespaces",
            expression(json!({"key": "team", "operator": "Is"})),
            operators,
        ),
        (
            "allowedNamespaces",
            expression(json!({"key": "team", "operator": "In"})),
            operators,
        ),
        (
            "allowedNamespaces",
            expression(json!({"key": "a b", "operator": "DoesNotExist"})),
            "must be a label key, such as team or example.com/team",
        ),
        (
            "guard.maxDeletions",
            json!(-1),
            "should be greater than or equal to 0",
        ),
        (
            "guard.maxDeletions",
            json!(1_000_001),
            "should be less than or equal to 1000000",
        ),
        (
            "guard.maxPercent",
            json!(101),
            "should be less than or equal to 100",
        ),
        (
            "guard.window",
            json!("0s"),
            "window must be from 1s to 24h, such as 10m",
        ),
        (
            "guard.gracePeriod",
            json!("25h"),
            "gracePeriod must be from 0s to 24h, such as 30s",
        ),
        ("guard.gracePeriod", json!(30), "must be of type string"),
        ("guard.maxObjects", json!(1), "unknown field"),
        (
            "inventory.interval",
            json!("-1h"),
            "interval must be 0s, or from 1s to 24h, such as 1h",
        ),
    ]
}

fn refused(object: &Value, mistakes: Mistakes) {
    for (field, value, allowed) in mistakes {
        let bad = with(object.clone(), field, &value).to_string();
        let refusal = plane()
            .kubectl_with(plane().kubeconfig(), &CREATE, &bad)
            .expect_refused();
        let is_named = refusal
            .lines()
            .any(|line| line.contains(&format!("spec.{field}")) && line.contains(allowed));
        assert!(is_named, "{field} = {value} was refused with: {refusal}");
    }
}

#[test]
fn every_mistake_in_a_version_package_is_refused_with_its_field_and_what_is_allowed() {
    refused(&version_package(), version_package_mistakes());
}

#[test]
fn every_mistake_in_a_platform_is_refused_with_its_field_and_what_is_allowed() {
    refused(&platform(), platform_mistakes());
}
