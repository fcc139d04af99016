//! Bodies of any bytes.

use proptest::prelude::*;

use super::*;

fn body() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![
        proptest::sample::select(CODES.iter().map(|(code, ..)| *code).collect::<Vec<_>>())
            .prop_map(str::to_owned),
        "\\PC{0,40}",
    ];
    let shaped = (code, any::<String>(), any::<bool>(), 0_usize..64).prop_map(
        |(code, text, gateway, cut)| {
            let (c, t) = if gateway {
                ("resultcode", "resultmsg")
            } else {
                ("error_code", "error_desc")
            };
            let mut body = serde_json::json!({c: code, t: text})
                .to_string()
                .into_bytes();
            if cut < 32 {
                body.truncate(body.len().saturating_sub(cut));
            }
            body
        },
    );
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..2048),
        shaped,
        (1_usize..32_768).prop_map(|n| "[".repeat(n).into_bytes()),
        (1_usize..10_000).prop_map(|n| "{\"a\":".repeat(n).into_bytes()),
    ]
}

proptest! {
    #[test]
    fn no_body_makes_it_panic_or_show_more_than_its_bounds(
        bytes in body(), status in any::<u16>(), which in 0_usize..4,
    ) {
        let answer = read(CALLS[which], status, Ok(&bytes), &secret());
        if let Some(detail) = answer.detail() {
            prop_assert!(detail.message.chars().count() <= MAX_MESSAGE);
            prop_assert!(!detail.message.is_empty());
            prop_assert!(!detail.message.chars().any(char::is_control));
            if let Some(code) = &detail.code {
                prop_assert!(code.chars().count() <= MAX_CODE && !code.chars().any(char::is_control));
            }
        }
        if matches!(answer, Answer::AlreadyGone(_)) {
            prop_assert_eq!(status, 404);
        }
        if let Answer::Done(seen) = answer {
            prop_assert!((200..300).contains(&status) && seen == status);
        }
    }
}
