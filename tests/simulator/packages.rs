//! Packages: deleted, listed, saved, and named by tasks.

use super::*;

#[tokio::test]
async fn a_deletion_answers_an_empty_200_with_its_content_type_and_then_123002() {
    let simulator = Simulator::start(&["--packages", "3"]).await;
    let client = Client::logged_in(&simulator).await;
    let gone = client.delete("package-00002").await;
    assert_eq!((gone.status.as_u16(), gone.text.as_str()), (200, ""));
    assert_eq!(gone.content_type.as_deref(), Some(JSON));
    assert_eq!(gone.content_length.as_deref(), Some("0"));
    let again = client.delete("package-00002").await;
    assert_eq!(again.error(), error(404, "A", "123002"));
    assert_eq!(again.content_type.as_deref(), Some(JSON));
    assert_eq!(
        client
            .get(&format!("{CATEGORY}/package-00002"))
            .await
            .error(),
        error(404, "A", "123002")
    );
    assert_eq!(
        client.delete("bad%20id").await.error(),
        error(400, "A", "120015")
    );

    simulator
        .put("/switches", json!({"deleteStatus": 204}))
        .await;
    let gone = client.delete("package-00001").await;
    assert_eq!((gone.status.as_u16(), gone.content_type), (204, None));

    let packages = simulator
        .admin(Method::GET, "/packages", Value::Null)
        .await
        .json();
    assert_eq!(packages, json!(["package-00003"]));
    let summary = simulator
        .admin(Method::GET, "/summary", Value::Null)
        .await
        .json();
    assert_eq!(summary["distinctPackagesDeleted"], 2);
    assert_eq!(summary["verdicts"]["deleted"], 2);
    assert_eq!(summary["verdicts"]["not-found"], 2);
    assert_eq!(summary["applications"]["app-1"]["maxCallsInWindow"], 6);
}

#[tokio::test]
async fn a_list_is_paged_from_zero_and_shows_all_eleven_fields() {
    let simulator = Simulator::start(&["--packages", "120"]).await;
    let client = Client::logged_in(&simulator).await;
    let page = async |query: &str| client.get(&format!("{CATEGORY}?{query}")).await;
    let mut seen = Vec::new();
    for number in 0..3 {
        let json = page(&format!("pageNo={number}&pageSize=50")).await.json();
        assert_eq!(
            (&json["totalCount"], &json["pageNo"]),
            (&json!(120), &json!(number))
        );
        for package in json["data"].as_array().unwrap() {
            assert_eq!(package.as_object().unwrap().len(), 11);
            seen.push(package["fileId"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(seen.len(), 120);
    assert_eq!(page("").await.json()["data"].as_array().unwrap().len(), 10);
    assert_eq!(
        page("pageNo=9&pageSize=100").await.json()["data"],
        json!([])
    );
    assert_eq!(
        page("pageSize=101").await.error(),
        error(400, "A", "123029")
    );
    assert_eq!(page("pageNo=-1").await.error(), error(400, "A", "120015"));
    let filtered = page("deviceType=GasMeter&fileType=softwarePackage&pageSize=100")
        .await
        .json();
    assert_eq!(filtered["totalCount"], 10);
    let shown = client
        .get(&format!("{CATEGORY}/package-00007"))
        .await
        .json();
    assert_eq!(
        (&shown["fileId"], &shown["description"]),
        (&json!("package-00007"), &json!("水表固件"))
    );
}

#[tokio::test]
async fn applications_have_packages_tokens_and_quotas_of_their_own() {
    let flags = [
        "--app-id",
        "one",
        "--secret",
        "s1",
        "--packages",
        "2",
        "--app-id",
        "two",
        "--secret",
        "s2",
        "--quota-calls",
        "2",
    ];
    let simulator = Simulator::start(&flags).await;
    let mut one = Client::new(&simulator, "one", "s1");
    let mut two = Client::new(&simulator, "two", "s2");
    one.login().await;
    two.login().await;
    assert_eq!(
        two.delete("package-00001").await.error(),
        error(404, "A", "123002")
    );
    assert_eq!(two.get(CATEGORY).await.error(), error(403, "B", "1010009"));
    assert_eq!(one.delete("package-00001").await.status, 200);
    let more = json!({"appId": "two", "packages": [{"fileId": "mine"}]});
    simulator.put("/packages", more).await;
    let listed = simulator
        .admin(Method::GET, "/packages?appId=two", Value::Null)
        .await;
    assert_eq!(listed.json(), json!(["mine"]));
}

#[tokio::test]
async fn packages_survive_a_restart_and_a_stop_takes_under_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state.json");
    let flags = ["--packages", "5", "--state", state.to_str().unwrap()];
    let simulator = Simulator::start_in(dir, &flags).await;
    let client = Client::logged_in(&simulator).await;
    assert_eq!(client.delete("package-00003").await.status, 200);
    let dir = simulator.stop().await;
    let again = Simulator::start_in(dir, &flags).await;
    let client = Client::logged_in(&again).await;
    assert_eq!(client.get(CATEGORY).await.json()["totalCount"], 4);
    assert_eq!(
        client.delete("package-00003").await.error(),
        error(404, "A", "123002")
    );
    again.stop().await;
}

#[tokio::test]
async fn a_task_names_the_version_and_survives_its_package() {
    let simulator = Simulator::start(&["--packages", "3"]).await;
    let client = Client::logged_in(&simulator).await;
    let order = json!({"fileId": "package-00001", "targets": {"devices": ["d-1", "d-2"]}});
    let created = client
        .post(&format!("{OPERATIONS}/firmwareUpgrade"), &order)
        .await
        .json();
    let id = created["operationId"].as_str().unwrap();
    assert_eq!(client.delete("package-00001").await.status, 200);
    let running = client
        .get(&format!("{OPERATIONS}?operationStatus=processing"))
        .await
        .json();
    assert_eq!(running["totalCount"], 1);
    assert_eq!(
        running["data"][0]["extendPara"],
        json!({"fileVersion": "V1.0.1"})
    );
    simulator
        .put(&format!("/tasks/{id}"), json!({"status": "failed"}))
        .await;
    simulator
        .put("/switches", json!({"failedWord": "FAIL"}))
        .await;
    let shown = client.get(&format!("{OPERATIONS}/{id}")).await.json();
    assert_eq!(
        (&shown["status"], &shown["staResult"]["fail"]),
        (&json!("FAIL"), &json!(2))
    );
    let parts = client
        .get(&format!(
            "{OPERATIONS}/{id}/subOperations?subOperationStatus=fail"
        ))
        .await;
    assert_eq!(parts.json()["totalCount"], 2);
    let missing = client.get(&format!("{OPERATIONS}/nothing")).await;
    assert_eq!(missing.error(), error(404, "A", "123009"));
}
