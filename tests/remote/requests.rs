//! The requests of the client, and its handling of complete answers.

use super::*;

#[tokio::test]
async fn a_login_posts_a_form_and_nothing_else() {
    let body = r#"{"scope":"default","tokenType":"bearer ","expiresIn":"1800","accessToken":"0123456789abcdef"}"#;
    let (mock, connection) =
        answering(ResponseTemplate::new(200).set_body_raw(body, "application/json")).await;
    let login = connection.login(&app(), &secret()).await.unwrap();
    assert_eq!(login.access_token.expose_secret(), TOKEN);
    assert_eq!(login.expires_in, Duration::from_secs(1800));

    let request = only_request(&mock).await;
    assert_eq!(request.method.as_str(), "POST");
    assert_eq!(request.url.path(), "/iocm/app/sec/v1.1.0/login");
    assert_eq!(request.url.query(), None);
    assert_eq!(
        request.headers["content-type"],
        "application/x-www-form-urlencoded"
    );
    assert_eq!(
        String::from_utf8(request.body).unwrap(),
        "appId=app-1&secret=hunter2%26%3D%2B%C3%BC"
    );
    assert!(!request.headers.contains_key("app_key"));
    assert!(!request.headers.contains_key("authorization"));
}

#[tokio::test]
async fn every_other_call_names_the_application_and_carries_the_token() {
    let id = "A.b-_~...x";
    let ca = Ca::new();
    let (mock, address) = mock(ca.server("127.0.0.1", None, &[&TLS13])).await;
    let package = serde_json::json!({"fileId": id, "version": "V1", "new": 1});
    for (verb, at, body) in [
        (
            "DELETE",
            format!("/base{CATEGORY}/{id}"),
            serde_json::json!({}),
        ),
        ("GET", format!("/base{CATEGORY}/{id}"), package.clone()),
        (
            "GET",
            format!("/base{CATEGORY}"),
            serde_json::json!({"data": [package], "totalCount": 301}),
        ),
    ] {
        Mock::given(method(verb))
            .and(path(at))
            .respond_with(ResponseTemplate::new(200).set_body_json(body))
            .mount(&mock)
            .await;
    }
    let endpoint: Endpoint = format!("https://{address}/base/").parse().unwrap();
    let connection = Connection::new(&endpoint, &ca.trusted(), Timeouts::default()).unwrap();

    let done = connection.delete(&app(), &authorization(), &file(id)).await;
    assert_eq!(done, Answer::Done(200));
    let shown = connection
        .show(&app(), &authorization(), &file(id))
        .await
        .unwrap();
    assert_eq!(shown.version.as_deref(), Some("V1"));
    let page = connection.list(&app(), &authorization(), 3).await.unwrap();
    assert_eq!((page.data, page.total_count), (vec![shown], 301));

    let requests = mock.received_requests().await.unwrap();
    let lines: Vec<_> = requests
        .iter()
        .map(|r| {
            format!(
                "{} {}?{}",
                r.method,
                r.url.path(),
                r.url.query().unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            format!("DELETE /base{CATEGORY}/{id}?"),
            format!("GET /base{CATEGORY}/{id}?"),
            format!("GET /base{CATEGORY}?pageNo=3&pageSize=100"),
        ]
    );
    for request in requests {
        assert_eq!(request.headers["app_key"], "app-1");
        assert_eq!(
            request.headers["authorization"],
            format!("Bearer {TOKEN}").as_str()
        );
        assert_eq!(request.headers["accept"], "application/json");
        assert_eq!(
            request.headers["user-agent"],
            concat!("version-package-operator/", env!("CARGO_PKG_VERSION"))
        );
        assert!(!request.headers.contains_key("content-type"));
        assert!(request.body.is_empty());
    }
}

#[tokio::test]
async fn answers_keep_status_code_and_message() {
    let body = r#"{"error_code":"123002","error_desc":"Device or package file not found."}"#;
    let (_mock, connection) =
        answering(ResponseTemplate::new(404).set_body_raw(body, "application/json")).await;
    let detail = Detail {
        http_status: Some(404),
        code: Some("123002".to_owned()),
        message: "Device or package file not found.".to_owned(),
    };
    assert_eq!(
        delete(&connection).await,
        Answer::AlreadyGone(detail.clone())
    );
    let shown = connection.show(&app(), &authorization(), &file("a1")).await;
    assert_eq!(shown, Err(Answer::AlreadyGone(detail.clone())));
    let listed = connection.list(&app(), &authorization(), 0).await;
    assert_eq!(listed, Err(Answer::Unexpected(detail.clone())));
    let login = connection.login(&app(), &secret()).await.unwrap_err();
    let detail = Detail {
        message: "there is no such package".to_owned(),
        ..detail
    };
    assert_eq!(login, Answer::Unexpected(detail));
}

#[tokio::test]
async fn a_200_without_the_result_of_the_call_is_unexpected() {
    let (_mock, connection) =
        answering(ResponseTemplate::new(200).set_body_json(serde_json::json!({}))).await;
    let login = connection.login(&app(), &secret()).await.unwrap_err();
    let shown = connection
        .show(&app(), &authorization(), &file("a1"))
        .await
        .unwrap_err();
    let listed = connection
        .list(&app(), &authorization(), 0)
        .await
        .unwrap_err();
    for answer in [login, shown, listed] {
        assert!(
            matches!(&answer, Answer::Unexpected(detail) if detail.http_status == Some(200)),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let answer = ResponseTemplate::new(307).insert_header("location", "/elsewhere");
    let (mock, connection) = answering(answer).await;
    assert_eq!(delete(&connection).await.as_str(), "Unexpected");
    only_request(&mock).await;
    assert_eq!(
        connection
            .login(&app(), &secret())
            .await
            .unwrap_err()
            .as_str(),
        "Unexpected"
    );
    assert_eq!(mock.received_requests().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_token_that_fits_into_no_header_is_refused_without_a_call() {
    let (mock, connection) = answering(ResponseTemplate::new(200)).await;
    let answer = connection
        .delete(
            &app(),
            &Authorization::new("a\nb-hunter2".into(), None),
            &file("a1"),
        )
        .await;
    assert!(
        matches!(&answer, Answer::TokenRefused(detail) if detail.http_status.is_none()),
        "{answer:?}"
    );
    assert!(!format!("{answer:?}").contains("hunter2"));
    assert!(mock.received_requests().await.unwrap().is_empty());
}
