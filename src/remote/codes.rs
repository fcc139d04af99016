//! The platform's codes, and what each one says about a call (platform reference, section 11).

use super::wire::code;

/// What a code says, whatever the status it came under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Too many calls of the application.
    Throttled,
    /// Too many calls, or an invalid token in a sister gateway: its text decides.
    ThrottledOrToken,
    /// The access token is not (or no longer) valid.
    TokenRefused,
    /// `appId` or `secret` is wrong.
    CredentialsRefused,
    /// The application is frozen, unknown or without the right, or the platform lacks a licence.
    ApplicationRefused,
    /// The request has a form that the platform does not take; for one package that is its id.
    InvalidRequest,
    /// The package is not there; proven only under a 404.
    NotFound,
    /// Something went wrong inside the platform.
    Internal,
    /// Belongs to a call that this product never makes, or names a mistake of ours.
    Misplaced,
}

impl Class {
    /// What a code of this class says, in our own words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Throttled => "too many calls of the application",
            Self::ThrottledOrToken => "too many calls of the application, or a bad access token",
            Self::TokenRefused => "the access token or the app_key is not valid",
            Self::CredentialsRefused => "appId or secret is wrong",
            Self::ApplicationRefused => {
                "the application is frozen, unknown or without the right, or the request lacks something"
            }
            Self::InvalidRequest => "the request has a form that is not taken",
            Self::NotFound => "there is no such package",
            Self::Internal => "an error inside the platform",
            Self::Misplaced => "a code that belongs to another call",
        }
    }
}

/// Whether `code` looks like one of the platform itself: its services have five or six digits, its gateway seven.
pub fn is_own_form(code: &str) -> bool {
    (5..=7).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit())
}

/// Every code that is told apart. The other codes of the reference can't come from the calls that
/// this product makes, as far as anybody knows, so the status speaks for them.
const TABLE: &[(&str, Class)] = &[
    (code::THROTTLED, Class::Throttled),
    (code::THROTTLED_OR_TOKEN, Class::ThrottledOrToken),
    (code::TOKEN_INVALID, Class::TokenRefused),
    ("100002", Class::TokenRefused),
    ("100006", Class::TokenRefused),
    ("100208", Class::CredentialsRefused),
    ("100022", Class::ApplicationRefused),
    ("100025", Class::ApplicationRefused),
    ("100028", Class::ApplicationRefused),
    ("100203", Class::ApplicationRefused),
    ("100217", Class::ApplicationRefused),
    ("100220", Class::ApplicationRefused),
    ("100247", Class::ApplicationRefused),
    ("100449", Class::ApplicationRefused),
    ("102202", Class::ApplicationRefused),
    ("103026", Class::ApplicationRefused),
    ("123001", Class::ApplicationRefused),
    ("50400", Class::ApplicationRefused),
    ("120015", Class::InvalidRequest),
    (code::NOT_FOUND, Class::NotFound),
    ("100001", Class::Internal),
    ("100008", Class::Internal),
    ("100023", Class::Internal),
    ("100501", Class::Internal),
    ("101016", Class::Internal),
    ("101017", Class::Internal),
    ("120001", Class::Internal),
    ("50252", Class::Internal),
    // A task that isn't there says nothing about a package.
    ("123009", Class::Misplaced),
    // Paging out of range must not make the whole application look refused.
    ("123029", Class::Misplaced),
];

/// What `code` says; `None` for a code that is not told apart.
pub fn class(code: &str) -> Option<Class> {
    TABLE
        .iter()
        .find(|(known, _)| *known == code)
        .map(|(_, class)| *class)
}

/// `code` itself where it is told apart, else `other`: a bounded set of words, fit for a metric.
pub fn label(code: &str) -> &'static str {
    TABLE
        .iter()
        .find(|(known, _)| *known == code)
        .map_or("other", |(known, _)| known)
}
