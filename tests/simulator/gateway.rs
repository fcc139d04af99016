//! The parts in front of the services: quota, faults, certificates and unknown paths.

use super::*;

#[tokio::test]
async fn the_gateway_throttles_before_it_checks_the_token_and_in_its_own_shape() {
    let simulator = Simulator::start(&["--quota-calls", "3", "--packages", "5"]).await;
    let client = Client::logged_in(&simulator).await;
    let mut stranger = Client::new(&simulator, "app-1", "secret-1");
    stranger.token = "0".repeat(32);
    assert_eq!(
        stranger.get(CATEGORY).await.error(),
        error(403, "B", "1010005")
    );
    assert_eq!(client.get(CATEGORY).await.status, 200);
    let throttled = client.delete("package-00001").await;
    assert_eq!(throttled.error(), error(403, "B", "1010009"));
    assert_eq!(throttled.json()["resultmsg"], "app throttle exceed.");
    assert_eq!(
        stranger.get(CATEGORY).await.error(),
        error(403, "B", "1010009")
    );
    assert_eq!(client.try_login().await.error(), error(403, "B", "1010009"));

    let china = json!({"throttleCode": "1010004", "throttleShape": "A", "throttleStatus": 429, "countLogins": false});
    simulator.put("/switches", china).await;
    assert_eq!(
        client.get(CATEGORY).await.error(),
        error(429, "A", "1010004")
    );
    assert_eq!(client.try_login().await.status, 200);

    simulator.put("/quota", json!({"calls": 10})).await;
    let used = simulator
        .admin(Method::POST, "/neighbour", json!({"calls": 20}))
        .await
        .json();
    assert_eq!(used, json!({"allowed": 7, "used": 10}));
    let packages = simulator
        .admin(Method::GET, "/packages", Value::Null)
        .await
        .json();
    assert_eq!(
        packages.as_array().unwrap().len(),
        5,
        "a throttled delete deletes nothing"
    );
}

#[tokio::test]
async fn a_short_window_admits_calls_again_and_the_ledger_shows_no_window_over_the_limit() {
    let flags = [
        "--quota-calls",
        "5",
        "--quota-window",
        "200ms",
        "--packages",
        "25",
    ];
    let simulator = Simulator::start(&flags).await;
    let client = Client::logged_in(&simulator).await;
    for number in 1..=25 {
        let id = format!("package-{number:05}");
        while client.delete(&id).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let ledger = simulator.ledger().await;
    let allowed: Vec<f64> = ledger
        .iter()
        .filter(|row| row["verdict"] != "throttled")
        .map(|row| row["ms"].as_f64().unwrap())
        .collect();
    assert_eq!(allowed.len(), 26);
    assert!(allowed.windows(6).all(|six| six[5] - six[0] > 199.999));
    assert!(
        ledger
            .iter()
            .all(|row| row["doneMs"].as_f64() >= row["ms"].as_f64())
    );
    let since = ledger[ledger.len() - 2]["seq"].clone();
    let rest = simulator
        .admin(Method::GET, &format!("/ledger?since={since}"), Value::Null)
        .await;
    assert_eq!(rest.text.lines().count(), 1);
}

#[tokio::test]
async fn each_fault_does_what_its_name_says() {
    let simulator = Simulator::start(&["--packages", "12"]).await;
    let client = Client::logged_in(&simulator).await;
    let fault = async |id: &str, kind: Value| {
        simulator
            .fault(json!({"match": {"method": "DELETE", "fileId": id}, "kind": kind}))
            .await;
        client.try_delete(id).await
    };
    let still = async |id: &str| {
        let path = format!("/packages/{id}");
        simulator
            .admin(Method::GET, &path, Value::Null)
            .await
            .status
            == 200
    };
    let whole = async |response: reqwest::Result<Response>| read(response.unwrap()).await;

    let html = whole(fault("package-00001", json!("html403")).await).await;
    assert_eq!(
        (html.status.as_u16(), html.text.contains("<html>")),
        (403, true)
    );
    let empty = whole(fault("package-00001", json!("empty403")).await).await;
    assert_eq!((empty.status.as_u16(), empty.text.as_str()), (403, ""));
    let bare = whole(fault("package-00001", json!("bare-404")).await).await;
    assert_eq!(
        (bare.status.as_u16(), bare.text.contains("123002")),
        (404, false)
    );
    let internal = whole(fault("package-00001", json!("internal-error")).await).await;
    assert_eq!(internal.error(), error(500, "A", "120001"));
    let code =
        whole(fault("package-00001", json!({"code-in-200": {"code": "100217"}})).await).await;
    assert_eq!(code.error(), error(200, "A", "100217"));
    let chosen = json!({"status": {"status": 502, "body": "<b>", "contentType": "text/html"}});
    let chosen = whole(fault("package-00001", chosen).await).await;
    assert_eq!((chosen.status.as_u16(), chosen.text.as_str()), (502, "<b>"));
    assert!(fault("package-00001", json!("drop-before")).await.is_err());
    assert_eq!(simulator.last().await["verdict"], "fault");
    assert!(
        still("package-00001").await,
        "none of these deletes anything"
    );

    assert!(fault("package-00002", json!("drop-after")).await.is_err());
    let row = simulator.last().await;
    assert_eq!(
        (&row["verdict"], &row["fault"], &row["status"]),
        (&json!("deleted"), &json!("drop-after"), &Value::Null)
    );
    assert!(
        !still("package-00002").await,
        "the deletion took place before the drop"
    );

    let begun = Instant::now();
    whole(fault("package-00003", json!({"delay": {"ms": 300}})).await).await;
    assert!(begun.elapsed() >= Duration::from_millis(300));

    simulator
        .fault(json!({"match": {"path": format!("{CATEGORY}/package-00004")}, "kind": "hang"}))
        .await;
    let hung = client.request(Method::DELETE, &format!("{CATEGORY}/package-00004"));
    let ended = hung.timeout(Duration::from_millis(200)).send().await;
    assert!(ended.unwrap_err().is_timeout());
    assert!(still("package-00004").await);
    assert_eq!(
        client.delete("package-00004").await.status,
        200,
        "a fault happens once by default"
    );

    simulator
        .fault(json!({"times": "forever", "kind": "empty403"}))
        .await;
    for _ in 0..3 {
        assert_eq!(client.get(CATEGORY).await.status, 403);
    }
    simulator
        .admin(Method::DELETE, "/faults", Value::Null)
        .await;
    assert_eq!(client.get(CATEGORY).await.status, 200);
    let wrong = simulator
        .admin(Method::POST, "/faults", json!({"kind": "explode"}))
        .await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn a_presented_client_certificate_is_always_verified() {
    let stranger = Simulator::start(&[]).await;
    for (mode, without) in [("required", false), ("requested", true), ("none", true)] {
        let simulator = Simulator::start(&["--client-cert", mode]).await;
        let login = async |client: reqwest::ClientBuilder| {
            let mut speaker = Client::new(&simulator, "app-1", "secret-1");
            speaker.http = client.build().unwrap();
            let form = [("appId", "app-1"), ("secret", "secret-1")];
            let request = speaker
                .http
                .post(format!("{}{LOGIN}", simulator.base))
                .form(&form);
            request
                .send()
                .await
                .is_ok_and(|answer| answer.status() == 200)
        };
        let tls = simulator.tls();
        for version in [
            reqwest::tls::Version::TLS_1_2,
            reqwest::tls::Version::TLS_1_3,
        ] {
            let client = || {
                trusting(&tls)
                    .min_tls_version(version)
                    .max_tls_version(version)
            };
            assert_eq!(login(client()).await, without, "{mode}: without one");
            assert!(
                login(client().identity(identity(&tls))).await,
                "{mode}: with ours"
            );
            let foreign = client().identity(identity(&stranger.tls()));
            assert_eq!(
                login(foreign).await,
                mode == "none",
                "{mode}: with another CA's"
            );
        }
        assert!(
            !login(trusting(&stranger.tls())).await,
            "another CA isn't trusted"
        );
    }
}

#[tokio::test]
async fn unknown_paths_answer_like_a_proxy_and_secrets_stay_out_of_the_ledger() {
    let simulator = Simulator::start(&["--packages", "1"]).await;
    let client = Client::logged_in(&simulator).await;
    let lost = client.get("/nowhere").await;
    assert_eq!(
        (lost.status.as_u16(), lost.content_type.as_deref()),
        (404, Some("text/html"))
    );
    client.get(CATEGORY).await;
    let text = simulator
        .admin(Method::GET, "/ledger", Value::Null)
        .await
        .text;
    assert_eq!(text.lines().count(), 3);
    assert!(!text.contains("secret-1") && !text.contains(&client.token));
}
