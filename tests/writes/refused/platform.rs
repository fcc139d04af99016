//! Policies about the statuses of Platforms, which hold the records of the guard.

use super::*;

/// How long a refusal is observed.
const LASTS: Duration = Duration::from_secs(15);

/// A Platform with a limit so low that each deletion needs a record of its own before its DELETE.
async fn guarded(subject: &str) -> Rig<'static> {
    let layout = Layout {
        platform: json!({
            "quota": {"calls": 100, "window": "1s"},
            "guard": {"maxDeletions": 5, "window": "10m", "gracePeriod": "0s"},
        }),
        ..Layout::default()
    };
    Rig::shared(subject, layout).await
}

/// Changes each written status of a Platform that satisfies `condition`.
fn change(rig: &Rig<'_>, condition: &str, patch: &str) -> Policy {
    let spec = json!({
        "reinvocationPolicy": "Never",
        "matchConditions": [{"name": "those", "expression": format!("has(object.status) && {condition}")}],
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": format!("[JSONPatch{{{patch}}}]")}}],
    });
    enforce(rig, "Mutating", "platforms/status", &spec, &json!({}))
}

/// Removes the uid from statuses.
fn strip_uids(rig: &Rig<'_>) -> Policy {
    let patch = "op: 'remove', path: '/status/uid'";
    change(rig, "has(object.status.uid)", patch)
}

/// Changes the message of the first condition.
fn change_messages(rig: &Rig<'_>) -> Policy {
    let patch =
        "op: 'replace', path: '/status/conditions/0/message', value: 'seen by the auditors'";
    change(rig, "has(object.status.conditions)", patch)
}

/// The number of deletions that a Platform's status records as sent or reserved.
fn counted(rig: &Rig<'_>, platform: &str) -> usize {
    let said = rig.kubectl(&["get", "platform", platform, "-o", "json"]);
    let object: Value = serde_json::from_str(&said.expect_ok()).unwrap();
    let sent = object["status"]["guard"]["sent"].as_array();
    let counts = sent.into_iter().flatten().map(|one| &one["count"]);
    let sum: u64 = counts.filter_map(Value::as_u64).sum();
    let reserved = object["status"]["guard"]["reserved"].as_u64();
    usize::try_from(sum + reserved.unwrap_or(0)).unwrap()
}

/// Deletes an object on each of two Platforms under `policy`: the existing one of the rig, and one created under it.
/// Nothing unrecorded is sent, `words` are reported, and once the policy is removed both deletions take one call each.
async fn holds_what_it_cannot_count(rig: &Rig<'_>, policy: impl Fn() -> Policy, words: &str) {
    let neighbour = Rig::shared("beside-refused", at_once()).await;
    neighbour.active(&[("pump-fw", "package-00001")]).await;
    rig.active(&[("meter-fw", "package-00001")]).await;
    let policy = policy();
    in_force().await;
    let from = rig.plane.audit_end();
    add_second_platform(rig);
    let over_it = json!({"platformRef": {"name": "second"}});
    let manifest = rig.manifest("valve-fw", "package-00002", &over_it);
    rig.plane.apply(&manifest.to_string()).expect_ok();
    rig.reason("valve-fw", "Active").await;
    rig.delete_all(&["meter-fw", "valve-fw"]);
    wait_for("an event about the status", SOON, async || {
        events_say(rig, "StatusRefused", words).then_some(())
    })
    .await;
    // No other Platform waits for this.
    neighbour.delete("pump-fw");
    neighbour.gone("pump-fw").await;
    tokio::time::sleep(LASTS).await;
    let all = [
        ("meter-fw", "production", "package-00001"),
        ("valve-fw", "second", "package-00002"),
    ];
    for (name, platform, package) in all {
        let sent = rig.deletes(package).await.len();
        let counted = counted(rig, platform);
        println!("{sent} calls for {package}, {counted} on record");
        assert!(sent <= counted, "{package}");
        if let Some(object) = rig.get(name).await {
            println!("{}", ready(&object));
        }
    }
    for platform in ["production", "second"] {
        let tried = patches(rig, from, platform, "status");
        println!("{tried} patches of {platform}");
        assert!((1..=10).contains(&tried), "{tried} patches of {platform}");
    }
    policy.lift(rig.plane);
    for (name, _, package) in all {
        rig.gone(name).await;
        assert_eq!(rig.deletes(package).await.len(), 1, "{package}");
    }
}

#[tokio::test]
async fn without_a_writable_platform_status_nothing_is_deleted_that_its_guard_must_count() {
    let rig = guarded("deny-record").await;
    let policy = || deny(&rig, "platforms/status", "false", "Forbidden");
    holds_what_it_cannot_count(&rig, policy, "the auditors say no").await;
}

#[tokio::test]
async fn where_a_platforms_status_may_not_hold_its_uid_nothing_is_deleted_and_the_policy_is_quoted()
{
    let rig = guarded("deny-uid").await;
    let without = "!has(object.status) || !has(object.status.uid)";
    let policy = || deny(&rig, "platforms/status", without, "Invalid");
    holds_what_it_cannot_count(&rig, policy, "the auditors say no").await;
}

/// A record without a uid counts for an object of the same age, so the existing record is safe.
#[tokio::test]
async fn a_policy_that_removes_the_uid_from_a_platforms_status_is_reported_as_a_refusal() {
    let rig = guarded("strip-uid").await;
    let policy = || strip_uids(&rig);
    holds_what_it_cannot_count(&rig, policy, "an admission policy or webhook changes it").await;
}

#[tokio::test]
async fn a_refused_hold_is_reported_and_its_deletions_wait() {
    let rig = guarded("deny-hold").await;
    let names: Vec<String> = (1..=7).map(|n| format!("meter-{n}")).collect();
    let packages: Vec<String> = (1..=7).map(|n| format!("package-0000{n}")).collect();
    let all: Vec<(&str, &str)> = names
        .iter()
        .zip(&packages)
        .map(|(name, package)| (&**name, &**package))
        .collect();
    rig.active(&all).await;
    let without = "!has(object.status) || !has(object.status.hold)";
    let policy = deny(&rig, "platforms/status", without, "Invalid");
    in_force().await;
    let from = rig.plane.audit_end();
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    rig.delete_all(&names);
    let refused = rig.platform_reason("production", "StatusRefused").await;
    let message = ready(&refused)["message"].clone();
    assert!(
        message.as_str().unwrap().contains("the auditors say no"),
        "{message}"
    );
    tokio::time::sleep(LASTS).await;
    let tried = patches(&rig, from, "production", "status");
    println!("{tried} patches");
    assert!((2..=14).contains(&tried), "{tried} patches");
    policy.lift(rig.plane);
    let told = rig.platform_reason("production", "MassDeletionHeld").await;
    assert!(told["status"]["hold"]["id"].is_string(), "{told}");
}

#[tokio::test]
async fn a_platform_whose_message_a_policy_changes_is_written_with_growing_pauses() {
    let rig = guarded("change-message").await;
    rig.platform_reason("production", "Available").await;
    let policy = change_messages(&rig);
    in_force().await;
    let from = rig.plane.audit_end();
    rig.patch("platform/production", &json!({"spec": {"mode": "Observe"}}));
    let told = rig.platform_reason("production", "Observing").await;
    assert_eq!(ready(&told)["message"], "seen by the auditors");
    // With a constant pause it would be ten.
    tokio::time::sleep(Duration::from_secs(40)).await;
    let tried = patches(&rig, from, "production", "status");
    println!("{tried} patches");
    assert!((2..=6).contains(&tried), "{tried} patches");
    policy.lift(rig.plane);
    // A new state is written at once.
    rig.patch("platform/production", &json!({"spec": {"mode": "Enforce"}}));
    rig.platform_reason("production", "Available").await;
}
