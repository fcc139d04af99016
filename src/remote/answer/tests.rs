mod any_body;
mod details;

use super::Call::{Delete, List, Login, Show};
use super::*;

const CALLS: [Call; 4] = [Login, Show, List, Delete];

fn secret() -> Mask {
    Mask::of(["hunter2-token"])
}

fn answer(call: Call, status: u16, body: &str) -> Answer {
    read(call, status, Ok(body.as_bytes()), &secret())
}

fn word(call: Call, status: u16, body: &str) -> &'static str {
    answer(call, status, body).as_str()
}

/// Both error shapes, each with the code as a string and as a number.
fn shapes(code: &str, text: &str) -> [String; 4] {
    [
        format!(r#"{{"error_code":"{code}","error_desc":"{text}"}}"#),
        format!(r#"{{"error_code":{code},"error_desc":"{text}"}}"#),
        format!(r#"{{"resultcode":"{code}","resultmsg":"{text}"}}"#),
        format!(r#"{{"resultmsg":"{text}","more":[{{"x":1}}],"resultcode":{code}}}"#),
    ]
}

/// (code, the statuses that the reference documents for it, the meaning for login, list, show and delete).
#[rustfmt::skip]
const CODES: &[(&str, &[u16], [&str; 4])] = &[
    ("1010009", &[403], ["Throttled"; 4]),
    ("1010004", &[403], ["CredentialsRefused", "TokenRefused", "TokenRefused", "TokenRefused"]),
    ("1010005", &[403], ["CredentialsRefused", "TokenRefused", "TokenRefused", "TokenRefused"]),
    ("100208", &[401, 403], ["CredentialsRefused"; 4]),
    ("100006", &[401], ["CredentialsRefused", "TokenRefused", "TokenRefused", "TokenRefused"]),
    ("100002", &[401], ["CredentialsRefused", "TokenRefused", "TokenRefused", "TokenRefused"]),
    ("100025", &[401], ["ApplicationRefused"; 4]),
    ("100028", &[401], ["ApplicationRefused"; 4]),
    ("100217", &[401, 403, 200], ["ApplicationRefused"; 4]),
    ("100203", &[200, 400, 403, 404, 500], ["ApplicationRefused"; 4]),
    ("100220", &[400, 500], ["ApplicationRefused"; 4]),
    ("123001", &[400], ["ApplicationRefused"; 4]),
    ("100247", &[400], ["ApplicationRefused"; 4]),
    ("100449", &[400], ["ApplicationRefused"; 4]),
    ("102202", &[400], ["ApplicationRefused"; 4]),
    ("100022", &[400], ["ApplicationRefused"; 4]),
    ("50400", &[400], ["ApplicationRefused"; 4]),
    ("120015", &[400], ["Unexpected", "Unexpected", "InvalidFileId", "InvalidFileId"]),
    ("123029", &[400], ["Unexpected"; 4]),
    ("123002", &[404], ["Unexpected", "Unexpected", "AlreadyGone", "AlreadyGone"]),
    ("123009", &[404], ["Unexpected"; 4]),
    ("50252", &[500], ["Unavailable"; 4]),
    ("120001", &[500], ["Unavailable"; 4]),
    ("100001", &[500], ["Unavailable"; 4]),
    ("100008", &[500], ["Unavailable"; 4]),
    ("100023", &[500], ["Unavailable"; 4]),
    ("101016", &[500], ["Unavailable"; 4]),
    ("101017", &[500], ["Unavailable"; 4]),
    ("103026", &[500], ["ApplicationRefused"; 4]),
    ("100501", &[503], ["Unavailable"; 4]),
];

/// Codes of other calls, for which the status decides: (status, meaning, codes).
#[rustfmt::skip]
const OTHERS: &[(u16, &str, &[u32])] = &[
    (400, "Unexpected", &[
        100_003, 100_007, 100_216, 100_218, 100_222, 100_223, 100_405, 100_416, 100_419, 100_426, 100_604, 100_609, 100_610,
        100_611, 101_406, 101_416, 101_417, 101_418, 101_419, 101_420, 101_421, 101_422, 101_423, 101_425, 102_203, 123_016,
        123_019, 123_020, 123_021, 123_022, 123_023, 123_024, 123_025, 123_026, 123_027, 123_028, 123_032, 123_033, 123_034,
    ]),
    (401, "Unexpected", &[101_409]),
    (403, "Unexpected", &[100_234, 100_612]),
    (404, "Unexpected", &[100_225, 100_403, 100_418, 105_005, 200_001]),
    (500, "Unavailable", &[100_412, 101_424, 50204]),
    (200, "Unexpected", &[
        100_403, 100_418, 100_431, 100_434, 100_435, 100_601, 100_602, 100_603, 100_607, 101_401, 101_402, 101_403, 101_404,
        105_001, 105_002, 120_007, 120_203,
    ]),
];

#[test]
fn every_code_of_the_reference_has_its_meaning_in_both_shapes_for_every_call() {
    for (code, statuses, meanings) in CODES {
        for (call, meaning) in [Login, List, Show, Delete].into_iter().zip(meanings) {
            for status in *statuses {
                for body in shapes(code, "some text") {
                    assert_eq!(
                        word(call, *status, &body),
                        *meaning,
                        "{call:?} {status} {body}"
                    );
                }
            }
        }
        assert_eq!(codes::label(code), *code);
    }
    for (status, meaning, codes) in OTHERS {
        for (call, code) in CALLS
            .iter()
            .flat_map(|call| codes.iter().map(move |code| (*call, code.to_string())))
        {
            for body in shapes(&code, "some text") {
                // Only a look-up tells the meaning of a 2xx to a delete.
                let unproven = *status == 200 && call == Delete;
                let meaning = if unproven { "Unproven" } else { meaning };
                assert_eq!(
                    word(call, *status, &body),
                    meaning,
                    "{call:?} {status} {body}"
                );
            }
            assert_eq!(codes::label(&code), "other");
        }
    }
}

#[test]
fn every_code_of_the_table_is_tried() {
    let tried = |code: &str| CODES.iter().any(|(tried, ..)| *tried == code);
    let missing: Vec<_> = codes::known().filter(|code| !tried(code)).collect();
    assert!(missing.is_empty(), "CODES lacks {missing:?}");
}

#[test]
fn a_known_code_wins_over_the_status_but_gone_needs_a_404() {
    for (code, _, [.., meaning]) in CODES {
        for status in [200, 204, 302, 400, 401, 403, 404, 409, 410, 429, 500, 503] {
            let body = &shapes(code, "some text")[0];
            let expected = match *code {
                "123002" | "123009" | "123029" if (200..300).contains(&status) => "Unproven",
                "123002" if status != 404 => "Unexpected",
                _ => meaning,
            };
            assert_eq!(
                word(Delete, status, body),
                expected,
                "{status} under {code}"
            );
        }
    }
}

#[test]
fn nothing_but_a_404_with_123002_to_a_call_for_one_package_is_ever_taken_for_gone() {
    let gone = shapes("123002", "Device or package file not found.");
    for status in 100..=600 {
        for call in CALLS {
            for body in &gone {
                let taken = word(call, status, body) == "AlreadyGone";
                assert_eq!(taken, status == 404 && matches!(call, Show | Delete));
            }
        }
    }
    for body in [
        "",
        "{}",
        "123002",
        "[\"123002\"]",
        "<html>123002</html>",
        r#"{"error_code":"123002","error_desc":"cut"#,
        r#"{"error_code":"123002"}}"#,
        r#"{"error_code":"123002","error_code":"120001"}"#,
        r#"{"code":"123002"}"#,
        r#"{"error_code":"1230\u000002"}"#,
        r#"{"error_code":["123002"]}"#,
        r#"{"error_code":"1010005","resultcode":"123002"}"#,
    ] {
        assert_ne!(word(Delete, 404, body), "AlreadyGone", "{body}");
    }
}

#[test]
fn code_1010004_means_too_many_calls_only_with_the_throttle_text() {
    for call in CALLS {
        for body in shapes("1010004", "App Throttle EXCEED.") {
            assert_eq!(word(call, 403, &body), "Throttled");
        }
        assert_ne!(word(call, 403, r#"{"resultcode":"1010004"}"#), "Throttled");
    }
}

#[test]
fn without_a_known_code_the_status_decides() {
    #[rustfmt::skip]
    let table: &[(&[u16], &str, &str, &str)] = &[
        // statuses, without a code, with an unknown code, without a code for a login
        (&[200, 201, 202, 204], "Done", "Unproven", "Done"),
        (&[301, 302, 303, 307, 308], "Unexpected", "Unexpected", "Unexpected"),
        (&[400, 402, 404, 405, 406, 410, 411, 413, 415, 418, 451], "Unexpected", "Unexpected", "Unexpected"),
        (&[401, 403], "TokenRefused", "Unexpected", "Unexpected"),
        (&[429], "Throttled", "Throttled", "Throttled"),
        (&[408, 409, 500, 501, 502, 503, 504, 599], "Unavailable", "Unavailable", "Unavailable"),
        (&[0, 101, 600, 999], "Unexpected", "Unexpected", "Unexpected"),
    ];
    for (statuses, without, unknown, login) in table {
        for status in *statuses {
            assert_eq!(word(Delete, *status, "{}"), *without, "{status}");
            assert_eq!(word(Login, *status, "{}"), *login, "{status}");
            assert_eq!(
                word(Delete, *status, r#"{"error_code":"777"}"#),
                *unknown,
                "{status}"
            );
        }
    }
}

#[test]
fn a_deletion_is_done_only_by_a_2xx_that_is_empty_or_an_empty_object() {
    let done = [
        "",
        " \r\n",
        "\u{feff}",
        " \u{feff} \n",
        "{}",
        " { \t}\n",
        "\u{feff}{}",
    ];
    for body in done {
        assert_eq!(word(Delete, 200, body), "Done", "{body:?}");
        assert_eq!(word(Delete, 204, body), "Done", "{body:?}");
    }
    for body in [
        r#"{"code":40101,"message":"token expired"}"#,
        r#"{"success":false}"#,
        r#"{"success":true}"#,
        r#"{"fileId":"x"}"#,
        r#"{"error_code":null,"resultcode":""}"#,
        "<html></html>",
        "ok",
        "null",
        "[]",
        "{",
        "{}{}",
        "0",
        "\u{0}",
        r#"{"resultcode":"0"}"#,
        r#"{"error_code":false}"#,
    ] {
        for status in [200, 202, 204, 299] {
            let answer = answer(Delete, status, body);
            assert_eq!(answer.as_str(), "Unproven", "{body:?}");
            assert_eq!(answer.http_status(), Some(status), "{body:?}");
        }
    }
    for call in [Login, Show, List] {
        assert_eq!(word(call, 200, ""), "Unexpected", "{call:?} needs a body");
    }
}

#[test]
fn only_the_platforms_own_codes_refuse_credentials() {
    let pages = [
        "",
        "{}",
        "<html>Sign in</html>",
        "Forbidden",
        r#"{"code":40101}"#,
        r#"{"error_code":"777777"}"#,
    ];
    for status in (200..600).filter(|status| !matches!(status, 408 | 409 | 429 | 500..=599)) {
        for body in pages {
            let refused = |call| word(call, status, body) == "CredentialsRefused";
            assert!(!CALLS.into_iter().any(refused), "{status} {body}");
            if status >= 300 {
                assert_eq!(word(Login, status, body), "Unexpected", "{status} {body}");
            }
        }
    }
    assert_eq!(
        word(Login, 401, r#"{"error_code":"100208"}"#),
        "CredentialsRefused"
    );
}

#[test]
fn a_401_or_403_without_a_readable_code_refuses_the_token() {
    for body in [
        "",
        "{}",
        "<html><body>403</body></html>",
        "Forbidden",
        "{\"resultcode\":\"101",
        "\u{1}",
    ] {
        for status in [401, 403] {
            assert_eq!(word(Delete, status, body), "TokenRefused", "{body:?}");
        }
    }
}

#[test]
fn a_text_in_another_encoding_hides_no_code() {
    let body = b"{\"resultcode\":\"1010009\",\"resultmsg\":\"\xc1\xf7\xbf\xd8\"}";
    assert_eq!(read(Delete, 403, Ok(body), &secret()).as_str(), "Throttled");
    let binary = read(Delete, 200, Ok(b"\xff\xfe\x00\x01"), &secret());
    assert_eq!(binary.as_str(), "Unproven");
    assert_eq!(binary.detail().unwrap().message, "a body that is not text");
}

#[test]
fn an_unreadable_body_leaves_the_outcome_unknown_unless_the_status_decides() {
    let said = |call, status, fault| {
        let answer = read(call, status, Err(fault), &secret());
        let detail = answer.detail().unwrap();
        assert!(detail.http_status == Some(status) && !detail.message.is_empty());
        answer.as_str()
    };
    for call in CALLS {
        for fault in [BodyFault::Cut, BodyFault::TimedOut] {
            for status in [200, 204, 400, 401, 403, 404, 410, 500] {
                assert_eq!(
                    said(call, status, fault),
                    "Unavailable",
                    "{call:?} {status}"
                );
            }
        }
        // A page that is too long, or compressed in an unknown way, isn't the platform's, and a second try gets the
        // same.
        for fault in [BodyFault::TooLarge, BodyFault::Undecodable] {
            for status in [400, 404, 405, 410] {
                assert_eq!(said(call, status, fault), "Unexpected", "{call:?} {status}");
            }
            for status in [401, 403, 408, 409, 500, 503] {
                assert_eq!(
                    said(call, status, fault),
                    "Unavailable",
                    "{call:?} {status}"
                );
            }
            let taken = match call {
                Delete => "Unproven",
                Login => "Unexpected",
                Show | List => "Unavailable",
            };
            assert_eq!(said(call, 200, fault), taken, "{call:?}");
        }
    }
    for fault in [
        BodyFault::TooLarge,
        BodyFault::Cut,
        BodyFault::TimedOut,
        BodyFault::Undecodable,
    ] {
        assert_eq!(said(Delete, 302, fault), "Unexpected");
        assert_eq!(said(Delete, 429, fault), "Throttled");
    }
}
