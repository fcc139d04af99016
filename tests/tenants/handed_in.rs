//! Tokens from elsewhere, on platforms that refuse or accept those of another application.

use super::*;

/// Another application of the same platform.
pub const TYPO: &str = "typo";
/// The secret of that application.
pub const TYPOS_SECRET: &str = "of-the-other";

/// A rig whose Platform has a token of its application together with `app_key`.
pub async fn with_token(subject: &str, any_app: bool, app_key: Option<&str>) -> Rig<'static> {
    let layout = Layout {
        simulator: SimulatorOptions {
            flags: &["--app-id", TYPO, "--secret", TYPOS_SECRET],
            ..Layout::default().simulator
        },
        platform: json!({"quota": {"calls": 100, "window": "1s"}, "inventory": {"interval": "0s"}}),
    };
    let rig = Rig::shared(subject, layout).await;
    let switches = json!({"tokenOfAnyApp": any_app});
    rig.simulator.switch("/switches", &switches).await;
    let (app_id, secret) = rig.simulator.credentials();
    let token = rig.simulator.log_in(app_id, secret).await;
    let handed_in = json!({"appKey": app_key.unwrap_or(app_id), "accessToken": token});
    let change = json!({"data": {"appId": null, "secret": null}, "stringData": handed_in});
    rig.patch("secret/production-app", &change);
    rig
}

#[tokio::test]
async fn a_token_with_a_mistyped_app_key_settles_no_object_whatever_the_platform_answers() {
    for (any_app, app_key) in [(false, TYPO), (true, TYPO), (true, "nobodys")] {
        let rig = with_token(&format!("mistyped-{any_app}"), any_app, Some(app_key)).await;
        wait_for("the mistyped one to be shown", SOON, async || {
            let platform = rig.platform_reason("production", "Available").await;
            (platform["status"]["session"]["appId"] == app_key).then_some(())
        })
        .await;
        rig.active(&[("meter", FIRST)]).await;
        rig.delete("meter");
        let reason = if any_app {
            "ApplicationUnproven"
        } else {
            "AuthenticationFailed"
        };
        let held = rig.reason("meter", reason).await;
        assert!(message(&held).contains("accessToken"), "{}", message(&held));
        assert!(held["status"]["deletion"]["outcome"].is_null());
        assert!(rig.simulator.has(FIRST).await);
        rig.patch("vp/meter", &json!({"spec": {"deletionPolicy": "Retain"}}));
        rig.gone("meter").await;
    }
}

#[tokio::test]
async fn a_token_settles_missing_packages_once_it_has_shown_a_package_of_ours() {
    for any_app in [false, true] {
        let rig = with_token(&format!("proves-{any_app}"), any_app, None).await;
        rig.active(&[("kept", FIRST), ("gone", SECOND)]).await;
        let delete = format!("/packages/{SECOND}");
        rig.simulator
            .admin(reqwest::Method::DELETE, &delete, &Value::Null)
            .await;
        rig.delete("gone");
        let held = rig.reason("gone", "ApplicationUnproven").await;
        assert!(held["status"]["deletion"]["outcome"].is_null());
        let inventory = json!({"spec": {"inventory": {"interval": "1s"}}});
        rig.patch("platform/production", &inventory);
        rig.gone("gone").await;
        // From now on the platform's answers to this token count at once.
        rig.delete("kept");
        rig.gone("kept").await;
    }
}
