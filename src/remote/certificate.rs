//! Reads validity, purpose and names of X.509 certificates. Pure.

use std::fmt;
use std::net::IpAddr;

use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error, ExtendedKeyPurpose, OtherError};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::x509::X509Version;

/// How many names of a certificate are shown.
const SHOWN_NAMES: usize = 4;
/// How many characters of each name are shown.
const SHOWN_OF_A_NAME: usize = 40;

/// The validity period of a certificate, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub not_before: i64,
    pub not_after: i64,
}

/// The validity period of a certificate; `None` where the certificate can't be parsed.
pub(super) fn validity(der: &CertificateDer<'_>) -> Option<Validity> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    Some(of(&certificate))
}

fn of(certificate: &X509Certificate<'_>) -> Validity {
    let validity = certificate.validity();
    Validity {
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
    }
}

/// Whether a certificate may issue others, by the rules of openssl. Its basic constraints decide. Without basic
/// constraints, its key usage decides. Without both, only a self-issued certificate of version 1 may issue others.
pub(super) fn may_issue(der: &CertificateDer<'_>) -> bool {
    let Ok((_, certificate)) = parse_x509_certificate(der) else {
        return false;
    };
    match (certificate.basic_constraints(), certificate.key_usage()) {
        (Ok(Some(constraints)), _) => constraints.value.ca,
        (Ok(None), Ok(Some(usage))) => usage.value.key_cert_sign(),
        (Ok(None), Ok(None)) => {
            certificate.version() == X509Version::V1
                && certificate.subject() == certificate.issuer()
        }
        (Err(_), _) | (_, Err(_)) => false,
    }
}

/// Checks everything of a certificate that doesn't depend on its issuer, except its names.
pub(super) fn check(der: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let bad = || Error::from(CertificateError::BadEncoding);
    let (_, certificate) = parse_x509_certificate(der).map_err(|_| bad())?;
    let validity = of(&certificate);
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let time = |at: i64| {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(at.max(0).unsigned_abs()))
    };
    if seconds < validity.not_before {
        let not_before = time(validity.not_before);
        return Err(CertificateError::NotValidYetContext {
            time: now,
            not_before,
        }
        .into());
    }
    if seconds > validity.not_after {
        let not_after = time(validity.not_after);
        return Err(CertificateError::ExpiredContext {
            time: now,
            not_after,
        }
        .into());
    }
    match certificate.extended_key_usage() {
        Ok(Some(usage)) if !usage.value.server_auth => {
            Err(CertificateError::InvalidPurposeContext {
                required: ExtendedKeyPurpose::ServerAuth,
                presented: Vec::new(),
            }
            .into())
        }
        Ok(_) => Ok(()),
        Err(_) => Err(bad()),
    }
}

/// The names of a certificate that lacks the wanted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OtherNames {
    /// The wanted name.
    pub wanted: String,
    /// The DNS names and IP addresses of the certificate, which TLS compares.
    pub names: Vec<String>,
    /// The common name, which TLS ignores.
    pub common_name: Option<String>,
}

impl OtherNames {
    pub(super) fn of(der: &CertificateDer<'_>, wanted: &ServerName<'_>) -> Self {
        let read = parse_x509_certificate(der).ok();
        let certificate = read.as_ref().map(|(_, certificate)| certificate);
        let alternative = certificate.and_then(|c| c.subject_alternative_name().ok().flatten());
        let names = alternative
            .iter()
            .flat_map(|names| &names.value.general_names);
        let common_name = certificate.and_then(|c| c.subject().iter_common_name().next());
        Self {
            wanted: shown(&wanted.to_str()),
            names: names.filter_map(name).collect(),
            common_name: common_name.and_then(|name| Some(shown(name.as_str().ok()?))),
        }
    }

    /// Wraps the names into an error of the TLS library.
    pub(super) fn into_error(self) -> Error {
        CertificateError::Other(OtherError(std::sync::Arc::new(self))).into()
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(shown(name)),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// A name from a certificate with its unprintable characters replaced, cut to a bounded length.
fn shown(name: &str) -> String {
    let visible = |c: char| {
        if c.is_ascii_graphic() || c == ' ' {
            c
        } else {
            '?'
        }
    };
    name.chars().take(SHOWN_OF_A_NAME).map(visible).collect()
}

impl fmt::Display for OtherNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.names.as_slice(), &self.common_name) {
            ([], None) => f.write_str("it carries no name at all"),
            ([], Some(name)) => write!(
                f,
                "it carries no subject alternative name, only the common name {name:?}, which doesn't count"
            ),
            (names, _) => {
                let some = &names[..names.len().min(SHOWN_NAMES)];
                write!(f, "it is for {}", some.join(", "))?;
                match names.len() - some.len() {
                    0 => {}
                    more => write!(f, " and {more} more")?,
                }
                write!(f, ", and not for {}", self.wanted)
            }
        }
    }
}

impl std::error::Error for OtherNames {}
