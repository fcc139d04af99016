//! A person requests a try of a credential, whichever process receives the request.

use super::*;

#[tokio::test]
async fn a_request_made_during_a_downtime_is_tried_once_and_not_at_each_start() {
    let plane = Plane::start();
    plane.install();
    let mut operator = start_operator(&plane, &[]);
    operator.ready().await;
    let layout = Layout {
        platform: json!({"quota": {"calls": 100, "window": "1s"}, "inventory": {"interval": "0s"}}),
        ..Layout::default()
    };
    let rig = Rig::on(&plane, "asked", layout).await;
    rig.platform_reason("production", "Available").await;
    let handled = async |value: &str| {
        wait_for("the request to be handled", SOON, async || {
            let platform = rig.platform_reason("production", "Available").await;
            let accepted = message(&platform).contains("accepts the credential");
            (accepted && platform["status"]["lastHandledRequestedAt"] == value).then_some(())
        })
        .await;
    };
    for (value, logins) in [("1", 1), ("2", 2)] {
        drop(operator);
        rig.annotate("platform/production", "requested-at", Some(value));
        operator = start_operator(&plane, &[]);
        operator.ready().await;
        handled(value).await;
        assert_eq!(rig.logins().await, logins);
        drop(operator);
        operator = start_operator(&plane, &[]);
        operator.ready().await;
        let untried = |platform: &Value| message(platform).contains("untried");
        rig.platform_becomes("production", "to be untried", untried)
            .await;
    }
    // A request that the last process received comes after one that it had to ignore.
    rig.annotate("platform/production", "requested-at", Some("3"));
    handled("3").await;
    assert_eq!(rig.logins().await, 3);
}
