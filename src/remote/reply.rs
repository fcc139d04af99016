//! Parses successful answers: the token, one package, one page. Pure.

use std::borrow::Cow;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::mask::Mask;
use super::pages::{PAGE_SIZE, Page};
use super::wire::CategoryInfo;
use crate::api::names::FileId;

/// The lifetime of a token where the platform names none, in seconds (reference, section 1).
const DEFAULT_LIFE: i64 = 3600;
/// The longest lifetime that is believed, in seconds: a token is renewed at least once a day.
const LONGEST_LIFE: i64 = 86_400;
/// The longest token that is accepted, in bytes; the platform documents 256 characters.
const LONGEST_TOKEN: usize = 4096;

/// The longest part of a package's field that is searched for secrets, in bytes: longer than any field that a
/// VersionPackage can name.
const LONGEST_FIELD: usize = 2048;

/// The result of a successful login.
#[derive(Debug)]
pub struct Login {
    /// The access token for all other calls.
    pub access_token: SecretString,
    /// The lifetime of the token: 1 s to one day.
    pub expires_in: Duration,
}

#[derive(Deserialize)]
struct LoginReply<'a> {
    #[serde(rename = "accessToken")]
    access_token: SecretString,
    #[serde(borrow, default, rename = "expiresIn")]
    expires_in: Option<&'a RawValue>,
}

/// Parses the answer to a login. The error says what the answer lacks.
pub(super) fn login(body: &[u8]) -> Result<Login, &'static str> {
    let reply: LoginReply<'_> =
        serde_json::from_slice(body).map_err(|_| "an answer without an accessToken")?;
    let token = reply.access_token.expose_secret();
    let fits = (1..=LONGEST_TOKEN).contains(&token.len());
    if !fits || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("an accessToken that no header can carry");
    }
    // Some editions of the reference have a number here, others a string of digits.
    let life = reply
        .expires_in
        .and_then(|raw| raw.get().trim_matches('"').trim().parse::<i64>().ok())
        .unwrap_or(DEFAULT_LIFE)
        .clamp(1, LONGEST_LIFE);
    Ok(Login {
        access_token: reply.access_token,
        expires_in: Duration::from_secs(life.unsigned_abs()),
    })
}

/// Parses the answer to a look-up, which must hold the package `asked`. Secrets in its fields are masked.
pub(super) fn package(
    body: &[u8],
    asked: &FileId,
    mask: &Mask,
) -> Result<CategoryInfo, &'static str> {
    let found: CategoryInfo =
        serde_json::from_slice(body).map_err(|_| "an answer that isn't a package")?;
    match found.file_id.as_deref() {
        Some(id) if id == asked.as_str() => Ok(hidden(found, mask)),
        Some(_) => Err("an answer about another package"),
        None => Err("an answer that names no package"),
    }
}

fn hidden(mut package: CategoryInfo, mask: &Mask) -> CategoryInfo {
    let CategoryInfo {
        file_id,
        name,
        version,
        file_type,
        device_type,
        model,
        manufacturer_name,
        protocol_type,
        description,
        date,
        upload_time,
    } = &mut package;
    let texts = [
        name,
        version,
        file_type,
        device_type,
        model,
        manufacturer_name,
        protocol_type,
        description,
        date,
        upload_time,
    ];
    // The operator finds a package by its id, so only long secrets are masked in it: a short one may occur there by
    // chance.
    let long = mask.of_long_ones();
    let texts = texts.into_iter().map(|text| (text, mask));
    for (text, mask) in texts.chain([(file_id, &long)]) {
        if let Some(text) = text
            && let Cow::Owned(masked) = mask.hide(text, LONGEST_FIELD)
        {
            *text = masked;
        }
    }
    package
}

#[derive(Deserialize)]
struct ListReply<'a> {
    data: Vec<CategoryInfo>,
    #[serde(borrow, rename = "totalCount")]
    total_count: &'a RawValue,
}

/// Parses one page of the list. Refuses a page without a total count, because a walk couldn't tell the end of the list
/// from a cut. Also refuses a page with more packages than were asked for.
pub(super) fn page(body: &[u8], mask: &Mask) -> Result<Page, &'static str> {
    let reply: ListReply<'_> =
        serde_json::from_slice(body).map_err(|_| "an answer that isn't a page of packages")?;
    if reply.data.len() > PAGE_SIZE as usize {
        return Err("a page of more packages than were asked for");
    }
    let total = reply.total_count.get().trim_matches('"').trim();
    Ok(Page {
        data: reply
            .data
            .into_iter()
            .map(|package| hidden(package, mask))
            .collect(),
        total_count: total
            .parse()
            .map_err(|_| "a page whose totalCount isn't a number")?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mask() -> Mask {
        Mask::of(["0123456789abcdef"])
    }

    fn life(reply: &str) -> u64 {
        login(reply.as_bytes()).unwrap().expires_in.as_secs()
    }

    #[test]
    fn the_lifetime_of_a_token_is_read_from_a_number_or_a_string_and_bounded() {
        for (said, seconds) in [
            ("3600", 3600),
            ("\"7200\"", 7200),
            ("\" 60 \"", 60),
            ("null", 3600),
            ("\"soon\"", 3600),
            ("[]", 3600),
            ("0", 1),
            ("-5", 1),
            ("9223372036854775807", 86_400),
        ] {
            let reply = format!(r#"{{"accessToken":"t","expiresIn":{said},"scope":"default"}}"#);
            assert_eq!(life(&reply), seconds, "{said}");
        }
        assert_eq!(life(r#"{"accessToken":"t"}"#), 3600);
    }

    #[test]
    fn a_login_needs_a_token_that_fits_into_a_header() {
        for reply in [
            "{}",
            "",
            r#"{"accessToken":null}"#,
            r#"{"accessToken":""}"#,
            r#"{"accessToken":7}"#,
            r#"{"accessToken":"a b"}"#,
            r#"{"accessToken":"a\nb"}"#,
            r#"{"accessToken":"ü"}"#,
            &format!(r#"{{"accessToken":"{}"}}"#, "x".repeat(5000)),
        ] {
            assert!(login(reply.as_bytes()).is_err(), "{reply}");
        }
    }

    #[test]
    fn a_look_up_must_answer_for_the_package_that_was_asked_for() {
        let asked: FileId = "a1".parse().unwrap();
        let found = package(
            br#"{"fileId":"a1","name":"fw","x":1,"date":null}"#,
            &asked,
            &mask(),
        )
        .unwrap();
        assert_eq!(found.name.as_deref(), Some("fw"));
        for reply in ["{}", "[]", r#"{"fileId":"a2"}"#, r#"{"fileId":null}"#] {
            assert!(
                package(reply.as_bytes(), &asked, &mask()).is_err(),
                "{reply}"
            );
        }
    }

    #[test]
    fn a_page_needs_its_data_and_its_total_count() {
        let reply = br#"{"data":[{"fileId":"a"}],"pageNo":0,"pageSize":100,"totalCount":"7"}"#;
        let page_read = page(reply, &mask()).unwrap();
        assert_eq!((page_read.data.len(), page_read.total_count), (1, 7));
        assert_eq!(
            page(br#"{"data":[],"totalCount":0}"#, &mask()).unwrap(),
            Page::default()
        );
        for reply in [
            "{}",
            r#"{"data":[]}"#,
            r#"{"totalCount":0}"#,
            r#"{"data":null,"totalCount":0}"#,
            r#"{"data":[],"totalCount":-1}"#,
        ] {
            assert!(page(reply.as_bytes(), &mask()).is_err(), "{reply}");
        }
    }

    #[test]
    fn a_token_that_a_list_or_a_look_up_repeats_is_hidden() {
        let token = "0123456789abcdef";
        let one =
            format!(r#"{{"fileId":"{token}","name":"a {token}","model":"\u0030123456789abcdef"}}"#);
        let list = format!(r#"{{"data":[{one}],"totalCount":1}}"#);
        let listed = page(list.as_bytes(), &mask()).unwrap();
        let shown = package(one.as_bytes(), &token.parse().unwrap(), &mask()).unwrap();
        for found in [&listed.data[0], &shown] {
            assert!(!format!("{found:?}").contains(token), "{found:?}");
            assert_eq!(found.name.as_deref(), Some("a ***"));
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(body in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = login(&body);
            let _ = page(&body, &mask());
            let _ = package(&body, &"a".parse().unwrap(), &mask());
        }
    }
}
