//! A 2xx to a DELETE with an undocumented body: only a look-up tells the result.

use super::*;

/// Bodies of gateways: a refusal, a success, a page.
const BODIES: [&str; 4] = [
    r#"{"code":40101,"message":"token expired"}"#,
    r#"{"success":false}"#,
    "<html>Welcome</html>",
    r#"{"success":true}"#,
];

fn body_of(status: u16, body: &str) -> Value {
    json!({"status": status, "body": body})
}

/// The number of look-ups of one package.
async fn shows(rig: &Rig<'_>, number: usize) -> usize {
    let path = format!("/category/{}", file(number));
    let ledger = rig.simulator.ledger().await;
    let shows = ledger.iter().filter(|row| {
        row["method"] == "GET" && row["path"].as_str().is_some_and(|p| p.ends_with(&path))
    });
    shows.count()
}

#[tokio::test]
async fn a_refusal_in_a_200_deletes_nothing_and_releases_no_object() {
    let names = ["code", "refused", "page", "retired"];
    let (rig, history) = laid_out("refused-200", &names).await;
    for (number, body) in (1..).zip(BODIES) {
        let kind = json!({"status": body_of(200, body)});
        rig.simulator
            .fault(&file(number), &kind, &json!("forever"))
            .await;
    }
    rig.delete_all(&names[..3]);
    rig.retire("retired");
    for (number, name) in (1..).zip(names) {
        let object = rig.reason(name, "UnexpectedAnswer").await;
        let said = message(&object);
        assert!(
            said.contains("HTTP 200") && said.contains("still shows"),
            "{name}: {said}"
        );
        let deletion = &object["status"]["deletion"];
        assert_eq!(deletion["outcome"], Value::Null, "{name}");
        assert_eq!(deletion["lastError"]["httpStatus"], 200, "{name}");
        let finalizers = object["metadata"]["finalizers"].to_string();
        assert!(finalizers.contains("iodm.dev/package"), "{name}");
        assert!(rig.simulator.has(&file(number)).await, "{name}");
        assert_eq!(
            shows(&rig, number).await,
            rig.deletes(&file(number)).await.len(),
            "{name}"
        );
        assert_eq!(audited(&rig, name).await, Vec::<Value>::new(), "{name}");
    }
    rig.simulator
        .admin(Method::DELETE, "/faults", &Value::Null)
        .await;
    rig.patch(
        "platform/production",
        &json!({"spec": {"quota": {"calls": 99}}}),
    );
    for name in &names[..3] {
        history.gone(name).await;
    }
    rig.reason("retired", "Deleted").await;
    history.assert_kstatus();
}

#[tokio::test]
async fn a_deletion_with_an_odd_body_is_proven_by_one_look_up_and_audited_with_both_answers() {
    let names = ["deleted", "retired", "empty"];
    let (rig, history) = laid_out("body-200", &names).await;
    for (number, body) in [(1, BODIES[3]), (2, BODIES[1]), (3, "\u{feff} ")] {
        let kind = json!({"answer-after": body_of(200, body)});
        rig.simulator
            .fault(&file(number), &kind, &json!("forever"))
            .await;
    }
    rig.delete_all(&["deleted", "empty"]);
    rig.retire("retired");
    history.gone("deleted").await;
    history.gone("empty").await;
    rig.reason("retired", "Deleted").await;
    for (number, name) in (1..).zip(names) {
        assert_eq!(rig.deletes(&file(number)).await.len(), 1, "{name}");
        let lines = audited(&rig, name).await;
        assert_eq!(lines.len(), 1, "{name}: {lines:?}");
        assert_eq!(lines[0]["outcome"], "Deleted", "{name}");
        assert_eq!(lines[0]["httpStatus"], 200, "{name}");
        assert_eq!(events(&rig, name), ["Deleted"], "{name}");
        let look_up = if name == "empty" {
            Value::Null
        } else {
            json!({"httpStatus": 404, "code": "123002"})
        };
        assert_eq!(lines[0]["lookUp"], look_up, "{name}");
        assert_eq!(
            shows(&rig, number).await,
            usize::from(name != "empty"),
            "{name}"
        );
    }
    history.assert_kstatus();
}

#[tokio::test]
async fn a_failed_look_up_is_repeated_without_a_second_delete() {
    let (rig, history) = laid_out("show-fails", &["meter"]).await;
    let kind = json!({"answer-after": body_of(202, BODIES[3])});
    rig.simulator
        .fault(&file(1), &kind, &json!("forever"))
        .await;
    for kind in [
        json!("internal-error"),
        gateway(403, "1010009", "app throttle exceed."),
    ] {
        let calls = json!({"method": "GET", "fileId": file(1)});
        let fault = json!({"match": calls, "kind": kind, "times": 1});
        rig.simulator.admin(Method::POST, "/faults", &fault).await;
    }
    rig.delete("meter");
    history.gone("meter").await;
    assert_eq!(rig.deletes(&file(1)).await.len(), 1);
    let lines = audited(&rig, "meter").await;
    assert_eq!(lines[0]["outcome"], "Deleted");
    assert_eq!(lines[0]["httpStatus"], 202);
    history.assert_kstatus();
}
