//! Logins, and the lifetime of tokens.

use super::*;

#[tokio::test]
async fn a_login_is_a_form_and_returns_the_five_fields() {
    let simulator = Simulator::start(&[]).await;
    let mut client = Client::new(&simulator, "app-1", "secret-1");
    let tokens = client.login().await;
    assert_eq!(
        (&tokens["tokenType"], &tokens["scope"]),
        (&json!("bearer"), &json!("default"))
    );
    assert_eq!(tokens["expiresIn"], 3600);
    assert_eq!(client.token.len(), 32);

    let as_json = json!({"appId": "app-1", "secret": "secret-1"});
    assert_eq!(
        client.post(LOGIN, &as_json).await.error(),
        error(400, "A", "102202")
    );
    let wrong = Client::new(&simulator, "app-1", "no");
    assert_eq!(wrong.try_login().await.error(), error(401, "A", "100208"));
    let unknown = Client::new(&simulator, "app-9", "secret-1");
    assert_eq!(unknown.try_login().await.error(), error(401, "A", "100208"));
    simulator
        .put("/applications/app-1", json!({"frozen": true}))
        .await;
    assert_eq!(client.try_login().await.error(), error(400, "A", "100247"));
    assert_eq!(
        client.get(CATEGORY).await.error(),
        error(400, "A", "100247")
    );
}

#[tokio::test]
async fn only_the_newest_token_is_valid_after_a_login_a_refresh_a_logout_and_its_end() {
    let simulator = Simulator::start(&["--packages", "3"]).await;
    let mut client = Client::logged_in(&simulator).await;
    let refused = error(403, "B", "1010005");

    let mut second = Client::logged_in(&simulator).await;
    assert_eq!(client.get(CATEGORY).await.error(), refused);
    assert_eq!(second.get(CATEGORY).await.status, 200);

    let body = |client: &Client| json!({"appId": "app-1", "secret": "secret-1", "refreshToken": client.refresh});
    let old = second.token.clone();
    let answer = second.post(REFRESH, &body(&second)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(
        second.post(REFRESH, &body(&second)).await.error(),
        error(401, "A", "100006")
    );
    second.keep(&answer);
    assert_ne!(second.token, old);
    assert_eq!(second.get(CATEGORY).await.status, 200);
    client.token = old;
    assert_eq!(client.get(CATEGORY).await.error(), refused);

    let gone = second
        .post(LOGOUT, &json!({"accessToken": second.token}))
        .await;
    assert_eq!(
        (gone.status.as_u16(), gone.content_type, gone.text.as_str()),
        (204, None, "")
    );
    assert_eq!(second.get(CATEGORY).await.error(), refused);

    second.login().await;
    simulator
        .admin(Method::POST, "/tokens/expire", json!({"appId": "app-1"}))
        .await;
    assert_eq!(second.get(CATEGORY).await.error(), refused);
    assert_eq!(simulator.last().await["verdict"], "token-refused");

    simulator
        .put("/applications/app-1", json!({"secret": "changed"}))
        .await;
    assert_eq!(second.try_login().await.error(), error(401, "A", "100208"));
    second.secret = "changed".to_owned();
    second.login().await;
}

#[tokio::test]
async fn a_token_ends_with_its_lifetime() {
    let simulator = Simulator::start(&["--token-lifetime", "1s"]).await;
    let client = Client::logged_in(&simulator).await;
    assert_eq!(client.get(CATEGORY).await.status, 200);
    let begun = Instant::now();
    while client.get(CATEGORY).await.status == 200 {
        assert!(begun.elapsed() < Duration::from_secs(3));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        client.get(CATEGORY).await.error(),
        error(403, "B", "1010005")
    );
}

#[tokio::test]
async fn a_token_of_another_application_is_refused_unless_the_switch_allows_it() {
    let others = [
        "--app-id", "app-1", "--secret", "secret-1", "--app-id", "app-2", "--secret", "secret-2",
    ];
    let simulator = Simulator::start(&others).await;
    let own = json!({"appId": "app-2", "packages": [{"fileId": "theirs"}]});
    simulator.put("/packages", own).await;
    let first = Client::logged_in(&simulator).await;
    let theirs = format!("{CATEGORY}/theirs");
    let refused = error(403, "B", "1010005");
    for (app_key, found) in [("app-2", true), ("nobodys", false)] {
        let mut beside = Client::new(&simulator, app_key, "");
        beside.token.clone_from(&first.token);
        assert_eq!(beside.get(&theirs).await.error(), refused);
        simulator
            .put("/switches", json!({"tokenOfAnyApp": true}))
            .await;
        let shown = beside.get(&theirs).await;
        if found {
            assert_eq!(shown.status, 200, "{}", shown.text);
        } else {
            assert_eq!(shown.error(), error(404, "A", "123002"));
        }
        // An invented token is refused in any case.
        beside.token = "made-up".to_owned();
        assert_eq!(beside.get(&theirs).await.error(), refused);
        simulator
            .put("/switches", json!({"tokenOfAnyApp": false}))
            .await;
    }
}
