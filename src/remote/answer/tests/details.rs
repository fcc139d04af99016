//! What is shown of an answer.

use super::*;

#[test]
fn details_carry_status_code_and_a_short_clean_text() {
    let detail = |status, body: &str| answer(Delete, status, body).detail().unwrap().clone();
    let one = detail(
        400,
        r#"{"error_code":" 100247 ","error_desc":"frozen\u0007\n\u202enow"}"#,
    );
    assert_eq!(one.http_status, Some(400));
    assert_eq!(one.code.as_deref(), Some("100247"));
    assert_eq!(one.message, "frozen now");

    let long = detail(
        400,
        &format!(
            r#"{{"error_code":"{}","error_desc":"{}"}}"#,
            "9".repeat(99),
            "é".repeat(999)
        ),
    );
    assert_eq!(long.code.unwrap().chars().count(), 32);
    assert_eq!(long.message.chars().count(), 256);

    assert_eq!(detail(404, "<html>soup</html>").message, "an HTML page");
    assert_eq!(detail(404, "oops <b>soup</b>").message, "an HTML page");
    assert_eq!(
        detail(404, r#"{"error_code":"1","error_desc":"<html>"}"#).message,
        "a code without a text"
    );
    assert_eq!(detail(404, "").message, "an answer without a body");
    assert_eq!(detail(404, "no such route").message, "no such route");
    assert_eq!(
        detail(404, "\u{1}").message,
        "a text without a visible character"
    );
    assert_eq!(
        detail(302, "").message,
        "a redirect, which is never followed"
    );
}

#[test]
fn a_secret_that_the_platform_repeats_is_not_repeated() {
    for body in [
        r#"{"resultcode":"1010005","resultmsg":"token hunter2-token is bad"}"#.to_owned(),
        r#"{"resultcode":"hunter2-token"}"#.to_owned(),
        r#"{"resultcode":"1010005","resultmsg":["hunter2\u002dtoken", "\u0068unter2-token"]}"#
            .to_owned(),
        "at hunter2%2Dtoken and hunter2%2dtoken".to_owned(),
        "no hunter2-\u{200b}token here".to_owned(),
        format!("{}hunter2-token", "x".repeat(MAX_MESSAGE - 8)),
    ] {
        let seen = format!("{:?}", answer(Delete, 403, &body));
        assert!(!seen.contains("hunter2"), "{seen}");
    }
}

#[test]
fn nothing_of_the_answer_to_a_login_is_shown_but_a_known_code() {
    let token = "0123456789abcdef";
    for body in [
        format!(r#"{{"accessToken":"{token}"}} and more"#),
        format!(r#"[{{"accessToken":"{token}"}}]"#),
        format!(r#"{{"accessToken":"{token}"}}{{"accessToken":"{token}"}}"#),
        format!("accessToken={token}"),
        format!("\"{token}\""),
        format!(r#"{{"error_code":"{token}","error_desc":"{token}"}}"#),
        format!(r#"{{"resultcode":"1010005","resultmsg":"{token} is bad"}}"#),
        format!(r#"{{"error_code":"100208","error_desc":["{token}"]}}"#),
    ] {
        for status in [200, 302, 400, 401, 403, 404, 500] {
            let seen = format!("{:?}", answer(Login, status, &body));
            assert!(!seen.contains(token), "{status} {body}: {seen}");
        }
    }
    let refused = answer(Login, 401, r#"{"error_code":"100208","error_desc":"no"}"#);
    let detail = refused.detail().unwrap();
    assert_eq!(
        detail.to_string(),
        "HTTP 401, code 100208, appId or secret is wrong"
    );
}
