//! What an answer means by its code, or by its status where it has no known code.

use super::{Answer, Body, BodyFault, Call, Detail, Trouble};
use crate::remote::codes::Class;

pub(super) fn by_code(
    call: Call,
    status: u16,
    class: Class,
    throttle_text: bool,
    detail: Detail,
) -> Answer {
    let one_package = matches!(call, Call::Show | Call::Delete);
    match class {
        Class::Throttled => Answer::Throttled(detail),
        Class::ThrottledOrToken if throttle_text => Answer::Throttled(detail),
        Class::ThrottledOrToken | Class::TokenRefused => token_refused(call, detail),
        Class::CredentialsRefused => Answer::CredentialsRefused(detail),
        Class::ApplicationRefused => Answer::ApplicationRefused(detail),
        Class::InvalidRequest if one_package => Answer::InvalidFileId(detail),
        Class::NotFound if one_package && status == 404 => Answer::AlreadyGone(detail),
        Class::NotFound | Class::Misplaced if call == Call::Delete && is_success(status) => {
            Answer::Unproven(detail)
        }
        Class::InvalidRequest | Class::NotFound | Class::Misplaced => Answer::Unexpected(detail),
        Class::Internal => Answer::Unavailable(detail, Trouble::Answered),
    }
}

pub(super) fn by_status(call: Call, status: u16, body: &Body<'_>, detail: Detail) -> Answer {
    let no_code = body.code().is_none();
    match (status, body) {
        (200..=299, Body::Empty | Body::Object { bare: true, .. }) if call == Call::Delete => {
            Answer::Done(status)
        }
        (200..=299, _) if call == Call::Delete => Answer::Unproven(detail),
        (200..=299, Body::Object { .. }) if no_code => Answer::Done(status),
        // The platform may refuse a token by the status alone. A login carries no token, so only a code can refuse a
        // login.
        (401 | 403, _) if no_code && call != Call::Login => Answer::TokenRefused(detail),
        (429, _) => Answer::Throttled(detail),
        (408 | 409 | 500..=599, _) => Answer::Unavailable(detail, Trouble::Answered),
        _ => Answer::Unexpected(detail),
    }
}

fn is_success(status: u16) -> bool {
    (200..=299).contains(&status)
}

/// Maps the refusal of a token. A login carries no token, so in the answer to a login the credentials are refused.
fn token_refused(call: Call, detail: Detail) -> Answer {
    match call {
        Call::Login => Answer::CredentialsRefused(detail),
        Call::Show | Call::List | Call::Delete => Answer::TokenRefused(detail),
    }
}

/// Classifies an answer whose body can't be read. A redirect and a 429 are classified by the status alone. Any other
/// answer is `Unavailable` if its body may have held a code of the platform: if the body broke off, or if the status is
/// one with which the platform refuses tokens and calls. Under other statuses, a body that is too large or can't be
/// decoded is a gateway's page and not the platform's.
pub(super) fn unread(call: Call, status: u16, fault: BodyFault) -> Answer {
    let broke_off = match fault {
        BodyFault::Cut | BodyFault::TimedOut => true,
        BodyFault::TooLarge | BodyFault::Undecodable => false,
    };
    let message = match fault {
        BodyFault::TooLarge => "the body of the answer is longer than the operator allows",
        BodyFault::Cut => "the connection broke within the body of the answer",
        BodyFault::TimedOut => "the body of the answer did not end within the time-out",
        BodyFault::Undecodable => "the body of the answer can't be unpacked",
    };
    let detail = Detail {
        http_status: Some(status),
        code: None,
        message: message.to_owned(),
    };
    match status {
        300..=399 => Answer::Unexpected(detail),
        429 => Answer::Throttled(detail),
        _ if broke_off => Answer::Unavailable(detail, Trouble::Answered),
        200..=299 if call == Call::Delete => Answer::Unproven(detail),
        200..=299 if call == Call::Login => Answer::Unexpected(detail),
        400 | 402 | 404..=407 | 410..=499 => Answer::Unexpected(detail),
        _ => Answer::Unavailable(detail, Trouble::Answered),
    }
}
