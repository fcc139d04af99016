//! Validated names: each type checks its value once, on construction.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::Url;

/// The annotation that holds the deletion of one object. Any value but `"false"` holds it.
pub const PAUSED_ANNOTATION: &str = "iodm.dev/paused";
/// The annotation whose new value triggers a retry; the value is copied to `status.lastHandledRequestedAt`.
pub const REQUESTED_AT_ANNOTATION: &str = "iodm.dev/requested-at";
/// How many characters of the value of `iodm.dev/requested-at` are used: the length limit of
/// `status.lastHandledRequestedAt`.
const REQUESTED_AT_LENGTH: usize = 256;
/// The annotation by which a person overrules unclear claims: a comma-separated list of the uids of the claiming
/// objects.
pub const DISREGARD_ANNOTATION: &str = "iodm.dev/disregard";
/// The annotation by which a person accepts a live object for another application. Its value is the id of that
/// application. The object's `Platform` must have credentials of that application now.
pub const ACCEPT_ANNOTATION: &str = "iodm.dev/accept";
/// The annotation of a `Platform` that releases a hold; its value is the id of the hold.
pub const RELEASE_HOLD_ANNOTATION: &str = "iodm.dev/release-hold";
/// The annotation of a `Platform` that lets it be deleted although objects need it; its value is the uid of the
/// `Platform`.
pub const ABANDON_ANNOTATION: &str = "iodm.dev/abandon";
/// The annotation by which a person confirms an object whose fields may be lost; its value is the uid of the object.
pub const CONFIRM_ANNOTATION: &str = "iodm.dev/confirm";
/// The finalizer of a `Platform`: it stays as long as objects need the `Platform`.
pub const IN_USE_FINALIZER: &str = "iodm.dev/in-use";
/// The finalizer of a `VersionPackage`. No call is ever made for an object without it.
pub const FINALIZER: &str = "iodm.dev/package";
/// The field manager of all writes of this operator.
pub const FIELD_MANAGER: &str = "version-package-operator";

/// Removes the annotation `iodm.dev/requested-at`. Returns its value, cut to the length limit of
/// `status.lastHandledRequestedAt`.
pub fn requested_at(annotations: &mut BTreeMap<String, String>) -> Option<String> {
    let value = annotations.remove(REQUESTED_AT_ANNOTATION)?;
    Some(value.chars().take(REQUESTED_AT_LENGTH).collect())
}

/// The refusal of a name, in the terms of the field that holds it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {value:?} is not allowed; allowed is {allowed}")]
pub struct InvalidName {
    /// The field in its user-facing spelling.
    pub field: &'static str,
    /// The refused value, cut to 64 characters.
    pub value: String,
    /// A description of the allowed values.
    pub allowed: &'static str,
}

impl InvalidName {
    fn new(field: &'static str, value: &str, allowed: &'static str) -> Self {
        Self {
            field,
            value: value.chars().take(64).collect(),
            allowed,
        }
    }
}

/// The platform's id of a package: opaque, 1 to 256 unreserved URL characters, never a dot segment.
///
/// The platform documents no format. An empty id or a dot segment would change the URL of the request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileId(Arc<str>);

impl FileId {
    const ALLOWED: &'static str =
        "1 to 256 letters, digits, '-', '.', '_' or '~', and neither '.' nor '..'";

    /// The id in the platform's spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FileId {
    type Error = InvalidName;

    fn try_from(value: String) -> Result<Self, InvalidName> {
        let unreserved =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        let fits = (1..=256).contains(&value.len()) && value.bytes().all(unreserved);
        if fits && value != "." && value != ".." {
            Ok(Self(value.into()))
        } else {
            Err(InvalidName::new("fileId", &value, Self::ALLOWED))
        }
    }
}

/// The id of an application on the platform, sent in the header `app_key`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppId(Arc<str>);

impl AppId {
    const ALLOWED: &'static str = "1 to 256 visible ASCII characters without blanks";

    /// The id in the platform's spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AppId {
    type Error = InvalidName;

    fn try_from(value: String) -> Result<Self, InvalidName> {
        if (1..=256).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(value.into()))
        } else {
            Err(InvalidName::new("appId", &value, Self::ALLOWED))
        }
    }
}

/// The https URL of a platform, normalised, so that two spellings of one endpoint are equal.
///
/// The host is in lower case, the port is always present, and there is no trailing slash. A TLS server name that
/// differs from the host follows after a `#`, because each name may be another server behind the same address.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint(Arc<str>);

impl Endpoint {
    const ALLOWED: &'static str = "an https URL such as https://iot.example.com:8743, without user, password, query or fragment";

    /// Parses the URL that a person wrote.
    ///
    /// # Errors
    /// The text isn't an allowed URL. The error doesn't repeat text before an '@', which may be a password.
    pub fn of_url(text: &str) -> Result<Self, InvalidName> {
        let refuse = || {
            let shown = text.rsplit_once('@').map_or(text, |(_, rest)| rest);
            InvalidName::new("endpoint", shown, Self::ALLOWED)
        };
        let url = Url::parse(text).map_err(|_| refuse())?;
        let plain = url.scheme() == "https"
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        match (plain, url.host_str(), url.port_or_known_default()) {
            (true, Some(host), Some(port)) => Ok(Self(
                format!("https://{host}:{port}{}", url.path().trim_end_matches('/')).into(),
            )),
            _ => Err(refuse()),
        }
    }

    /// The endpoint with the TLS server name `server`.
    #[must_use]
    pub fn named(&self, server: &str) -> Self {
        let server = server.to_ascii_lowercase();
        let url = Url::parse(self.url()).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        if host.trim_matches(['[', ']']) == server {
            Self(self.url().into())
        } else {
            Self(format!("{}#{server}", self.url()).into())
        }
    }

    /// The normalised URL without a trailing slash, followed by `#` and the TLS server name if there is one.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The normalised URL without a trailing slash.
    pub fn url(&self) -> &str {
        self.0.split_once('#').map_or(&*self.0, |(url, _)| url)
    }
}

impl TryFrom<String> for Endpoint {
    type Error = InvalidName;

    fn try_from(value: String) -> Result<Self, InvalidName> {
        let named = |name: &str| {
            let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':');
            (1..=253).contains(&name.len()) && name.bytes().all(known)
        };
        match value.split_once('#') {
            Some((url, name)) if named(name) => Ok(Self::of_url(url)?.named(name)),
            Some(_) | None => Self::of_url(&value),
        }
    }
}

macro_rules! plain_text {
    ($($name:ident),+) => {$(
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::try_from(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}
plain_text!(FileId, AppId, Endpoint);

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.0)
    }
}

/// The namespace and name of an object of a known kind. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl ObjectKey {
    /// The key of the object `name` in `namespace`.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_id_changes_the_url_of_a_request() {
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "a?b",
            "a#b",
            "a%2e",
            "ü",
            "a\n",
            &"x".repeat(257),
        ] {
            assert!(bad.parse::<FileId>().is_err(), "{bad:?} was accepted");
        }
        for good in ["0a1b2c3d", "a.b", "...", "A-Z_~", &"x".repeat(256)] {
            assert_eq!(good.parse::<FileId>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn two_spellings_of_one_endpoint_are_equal() {
        let normal: Endpoint = "https://iot.example.com:443".parse().unwrap();
        for same in [
            "https://IOT.example.com",
            "https://iot.example.com/",
            "HTTPS://iot.example.com:443/",
        ] {
            assert_eq!(same.parse::<Endpoint>().unwrap(), normal);
        }
        assert_eq!(
            "https://h:8743/base/".parse::<Endpoint>().unwrap().as_str(),
            "https://h:8743/base"
        );
    }

    #[test]
    fn an_endpoint_with_user_query_or_fragment_is_refused_without_repeating_its_password() {
        for bad in [
            "http://h",
            "https://u:hunter2@h",
            "https://h?x=hunter2@",
            "https://h#f",
            "h:8743",
            "",
        ] {
            let error = Endpoint::of_url(bad).unwrap_err().to_string();
            assert!(
                error.contains("endpoint") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
    #[test]
    fn one_address_with_two_server_names_is_two_endpoints() {
        let plain = Endpoint::of_url("https://10.0.0.1:8743/base/").unwrap();
        assert_eq!(plain.named("10.0.0.1"), plain, "its own name is no other");
        let named = plain.named("IOT.example.com");
        assert_eq!(named.as_str(), "https://10.0.0.1:8743/base#iot.example.com");
        assert_eq!(named.url(), plain.as_str());
        assert_ne!(named, plain.named("other.example.com"));
        assert_eq!(named.as_str().parse::<Endpoint>().unwrap(), named);
        let six = Endpoint::of_url("https://[::1]:8743").unwrap();
        assert_eq!(six.named("::1"), six);
        for bad in ["https://h#", "https://h#a b", "https://h#a#b"] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }
}
