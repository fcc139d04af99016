//! The platform's error codes and their meaning. There is no common list: the table unites those of the vendor's REST
//! reference (support.huaweicloud.com, api-IoT, pages `iot_06_0007` and `iot_06_0075` to `iot_06_0082`) and of China
//! Telecom's "IoT open platform API reference" 1.5.1.

use super::wire::code;

/// The meaning of a code, regardless of the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The application made too many calls.
    Throttled,
    /// Too many calls; in a sister gateway an invalid token. The message of the answer decides.
    ThrottledOrToken,
    /// The access token is not (or no longer) valid.
    TokenRefused,
    /// `appId` or `secret` is wrong.
    CredentialsRefused,
    /// The application is frozen, unknown or lacks the right, or the platform lacks a licence.
    ApplicationRefused,
    /// The platform doesn't accept the form of the request. In a call about one package, that is the form of the
    /// package's id.
    InvalidRequest,
    /// The package doesn't exist. Only a 404 proves this.
    NotFound,
    /// An internal error of the platform.
    Internal,
    /// The code belongs to calls that this product never makes, or reports a mistake of this product.
    Misplaced,
}

impl Class {
    /// A description of the class that repeats nothing of the answer.
    pub fn words(self) -> &'static str {
        match self {
            Self::Throttled => "too many calls of the application",
            Self::ThrottledOrToken => "too many calls of the application, or a bad access token",
            Self::TokenRefused => "the access token or the app_key is not valid",
            Self::CredentialsRefused => "appId or secret is wrong",
            Self::ApplicationRefused => {
                "the application is frozen or unknown, or lacks the right; or the request lacks something"
            }
            Self::InvalidRequest => "the platform doesn't accept the form of the request",
            Self::NotFound => "there is no such package",
            Self::Internal => "an error inside the platform",
            Self::Misplaced => "a code that the platform documents for another kind of call",
        }
    }
}

/// Whether `code` has the form of the platform's own codes: five or six digits from its services, seven from its
/// gateway.
pub fn is_own_form(code: &str) -> bool {
    (5..=7).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit())
}

/// All codes with a meaning of their own. The other codes of the reference aren't documented for the calls of this
/// product; for them the status decides.
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
    // The code means that a task doesn't exist, which says nothing about the package.
    ("123009", Class::Misplaced),
    // The code means that a page number is out of range. It must not count as a refusal of the whole application.
    ("123029", Class::Misplaced),
];

/// The codes of the table.
#[cfg(test)]
pub(super) fn known() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(code, _)| *code)
}

/// The meaning of `code`; `None` for a code without an entry in the table.
pub fn class(code: &str) -> Option<Class> {
    TABLE
        .iter()
        .find(|(known, _)| *known == code)
        .map(|(_, class)| *class)
}

/// `code` itself where it has an entry in the table, else `other`: a bounded set of label values for metrics.
pub fn label(code: &str) -> &'static str {
    TABLE
        .iter()
        .find(|(known, _)| *known == code)
        .map_or("other", |(known, _)| known)
}
