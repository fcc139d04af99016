//! Translates connection and TLS errors into the reason why no answer came.

use k8s_openapi::jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription as Alert, CertificateError, OtherError, PeerIncompatible};
use rustls::{Error as Tls, InvalidMessage};

use super::answer::{CertificateFault, ClientFault, TlsFault, Trouble};
use super::body::causes;
use super::certificate::{OtherNames, Validity};

/// The client certificate that this process presents.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ShownCertificate {
    /// Whether a client certificate is configured.
    pub is_there: bool,
    /// Whether the platform has requested a client certificate.
    pub asked: bool,
    /// The validity period of the certificate; `None` where it can't be parsed.
    pub validity: Option<Validity>,
}

/// The kind of the failure and its description for people. `now` is in seconds since 1970.
pub(super) fn explain(
    error: &reqwest::Error,
    shown: ShownCertificate,
    now: i64,
) -> (Trouble, String) {
    // With TLS 1.3 the refusal of a client certificate arrives after the handshake, on the first read. So TLS errors
    // are looked for first.
    let tls = causes(error)
        .filter_map(|cause| cause.downcast_ref())
        .find_map(|tls| by_tls(tls, shown, now, error.is_connect()));
    if let Some(told) = tls {
        return told;
    }
    let cause = causes(error)
        .last()
        .map_or_else(String::new, ToString::to_string);
    if error.is_connect() || error.is_builder() {
        let message = if error.is_timeout() {
            "no connection within the connect time-out".to_owned()
        } else {
            format!("no connection: {cause}")
        };
        return (Trouble::NotConnected, message);
    }
    let message = format!("the connection broke before the answer: {cause}");
    (Trouble::ConnectionLost, message)
}

/// The failure that a TLS error stands for; `None` where the failure may pass by itself. `connecting` is true during
/// the handshake.
fn by_tls(
    error: &Tls,
    shown: ShownCertificate,
    now: i64,
    connecting: bool,
) -> Option<(Trouble, String)> {
    match error {
        Tls::InvalidCertificate(error) => {
            let (fault, what) = certificate(error);
            Some((Trouble::CertificateNotTrusted(fault), what))
        }
        Tls::NoCertificatesPresented => Some((
            Trouble::CertificateNotTrusted(CertificateFault::Unusable),
            "the platform presents no certificate at all".to_owned(),
        )),
        Tls::AlertReceived(alert) => match by_client(*alert, shown, now) {
            Some((fault, what)) => Some((Trouble::ClientCertificateRefused(fault), what)),
            None => by_alert(*alert)
                .filter(|_| connecting)
                .map(|(fault, what)| (Trouble::TlsMismatch(fault), what.to_owned())),
        },
        Tls::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        ) => Some(mismatch(
            TlsFault::Version,
            "it answers with a version of TLS older than 1.2",
        )),
        Tls::PeerIncompatible(_) => Some(mismatch(
            TlsFault::Parameters,
            "the platform chose TLS settings that the operator did not offer",
        )),
        Tls::InvalidMessage(InvalidMessage::UnknownProtocolVersion) if connecting => {
            Some(mismatch(
                TlsFault::Version,
                "it answers with a version of TLS older than 1.2",
            ))
        }
        Tls::InvalidMessage(_) if connecting => Some(mismatch(
            TlsFault::NotTls,
            "its answer to the beginning of a TLS connection is no TLS",
        )),
        _ => None,
    }
}

fn mismatch(fault: TlsFault, what: &str) -> (Trouble, String) {
    (Trouble::TlsMismatch(fault), what.to_owned())
}

/// The fault of the platform's certificate, and its description for people.
fn certificate(error: &CertificateError) -> (CertificateFault, String) {
    use CertificateFault as Fault;
    let told = |fault, what: &str| (fault, what.to_owned());
    match error {
        CertificateError::UnknownIssuer => told(Fault::Issuer, "no trusted CA has issued it"),
        CertificateError::BadSignature => told(
            Fault::Issuer,
            "its issuer has the name of a trusted CA, but the certificate was signed with another key than the key of that CA",
        ),
        CertificateError::ExpiredContext { not_after, .. } => (
            Fault::Expired,
            format!(
                "the certificate, or an intermediate one, expired on {}",
                date(*not_after)
            ),
        ),
        CertificateError::Expired => told(Fault::Expired, "it has expired"),
        CertificateError::NotValidYetContext { not_before, .. } => (
            Fault::NotYetValid,
            format!(
                "the certificate, or an intermediate one, is valid only from {} on",
                date(*not_before)
            ),
        ),
        CertificateError::NotValidYet => told(Fault::NotYetValid, "it is not valid yet"),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => told(
            Fault::Purpose,
            "its extended key usage is not that of a server",
        ),
        CertificateError::Other(OtherError(inner)) => match inner.downcast_ref::<OtherNames>() {
            Some(names) if names.names.is_empty() => (Fault::NoName, names.to_string()),
            Some(names) => (Fault::OtherName, names.to_string()),
            None if inner.to_string().contains("CaUsedAsEndEntity") => {
                told(Fault::Ca, "it is the certificate of a CA")
            }
            None => (Fault::Unusable, format!("it can't be used: {inner}")),
        },
        CertificateError::BadEncoding => told(Fault::Unusable, "it can't be read"),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => told(
            Fault::Unusable,
            "the certificate, or an intermediate one, is signed in a way that isn't trusted any more, such as with SHA-1",
        ),
        other => (Fault::Unusable, format!("it can't be used: {other}")),
    }
}

/// The fault of the client certificate that the alert names; `None` for other alerts.
fn by_client(alert: Alert, shown: ShownCertificate, now: i64) -> Option<(ClientFault, String)> {
    let said = match alert {
        Alert::NoCertificate
        | Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied
        // The signature of the client certificate isn't its issuer's: the CA was created anew under its old name.
        | Alert::DecryptError
        | Alert::CertificateRequired => true,
        // With TLS 1.2 many servers send only this alert where the certificate is missing or of another issuer.
        Alert::HandshakeFailure => shown.asked,
        _ => false,
    };
    if !said {
        return None;
    }
    if !shown.is_there {
        let what = format!(
            "the platform demands a client certificate ({})",
            name(alert)
        );
        return Some((ClientFault::Missing, what));
    }
    let day = |seconds| {
        Timestamp::from_second(seconds).map_or_else(|_| String::new(), |at| at.to_string())
    };
    let (fault, why) = match (shown.validity, alert) {
        (Some(validity), _) if now > validity.not_after => (
            ClientFault::Expired,
            format!(", which expired on {}", day(validity.not_after)),
        ),
        (Some(validity), _) if now < validity.not_before => (
            ClientFault::NotYetValid,
            format!(", which is valid only from {} on", day(validity.not_before)),
        ),
        (_, Alert::CertificateExpired) => (ClientFault::Expired, " as expired".to_owned()),
        (_, Alert::UnknownCA | Alert::DecryptError) => (
            ClientFault::Issuer,
            ", whose issuer it does not know".to_owned(),
        ),
        (_, Alert::CertificateRevoked) => (ClientFault::Refused, " as revoked".to_owned()),
        _ => (ClientFault::Refused, String::new()),
    };
    let what = format!(
        "the platform refuses the client certificate{why} ({})",
        name(alert)
    );
    Some((fault, what))
}

/// The TLS mismatch that any other alert stands for; `None` where the failure may pass by itself.
fn by_alert(alert: Alert) -> Option<(TlsFault, &'static str)> {
    match alert {
        Alert::ProtocolVersion => Some((
            TlsFault::Version,
            "it refuses TLS 1.2 and 1.3 (protocol_version)",
        )),
        Alert::HandshakeFailure => Some((
            TlsFault::Parameters,
            "it takes none of the ciphers, curves and signatures offered (handshake_failure)",
        )),
        Alert::InsufficientSecurity => Some((
            TlsFault::Parameters,
            "it takes none of the ciphers, curves and signatures offered (insufficient_security)",
        )),
        Alert::UnrecognisedName => Some((
            TlsFault::Name,
            "it serves nothing under the name that it was asked for (unrecognized_name)",
        )),
        _ => None,
    }
}

/// The name of an alert in the spelling of openssl.
fn name(alert: Alert) -> &'static str {
    match alert {
        Alert::NoCertificate => "no_certificate",
        Alert::BadCertificate => "bad_certificate",
        Alert::UnsupportedCertificate => "unsupported_certificate",
        Alert::CertificateRevoked => "certificate_revoked",
        Alert::CertificateExpired => "certificate_expired",
        Alert::UnknownCA => "unknown_ca",
        Alert::AccessDenied => "access_denied",
        Alert::DecryptError => "decrypt_error",
        Alert::CertificateRequired => "certificate_required",
        Alert::HandshakeFailure => "handshake_failure",
        _ => "certificate_unknown",
    }
}

fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds)
        .map_or_else(|_| "an unknown day".to_owned(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn told(error: &Tls, shown: ShownCertificate) -> Option<Trouble> {
        by_tls(error, shown, NOW, true).map(|(trouble, _)| trouble)
    }

    fn shown(asked: bool) -> ShownCertificate {
        ShownCertificate {
            asked,
            ..ShownCertificate::default()
        }
    }

    #[test]
    fn a_plain_handshake_failure_is_about_our_certificate_only_where_one_was_asked_for() {
        let failure = Tls::AlertReceived(Alert::HandshakeFailure);
        assert_eq!(
            told(&failure, shown(false)),
            Some(Trouble::TlsMismatch(TlsFault::Parameters))
        );
        assert_eq!(
            told(&failure, shown(true)),
            Some(Trouble::ClientCertificateRefused(ClientFault::Missing))
        );
    }

    #[test]
    fn a_certificate_is_blamed_only_for_an_error_that_names_it() {
        let theirs = Tls::InvalidCertificate(CertificateError::Expired);
        assert_eq!(
            told(&theirs, shown(true)),
            Some(Trouble::CertificateNotTrusted(CertificateFault::Expired))
        );
        for (validity, alert, fault) in [
            (None, Alert::CertificateRequired, ClientFault::Refused),
            (None, Alert::UnknownCA, ClientFault::Issuer),
            (None, Alert::CertificateExpired, ClientFault::Expired),
            (
                Some((0, 1)),
                Alert::CertificateUnknown,
                ClientFault::Expired,
            ),
            (
                Some((NOW + 1, NOW + 2)),
                Alert::BadCertificate,
                ClientFault::NotYetValid,
            ),
        ] {
            let shown = ShownCertificate {
                is_there: true,
                asked: true,
                validity: validity.map(|(not_before, not_after)| Validity {
                    not_before,
                    not_after,
                }),
            };
            assert_eq!(
                told(&Tls::AlertReceived(alert), shown),
                Some(Trouble::ClientCertificateRefused(fault))
            );
        }
    }

    #[test]
    fn a_transient_tls_error_is_no_mismatch() {
        for error in [
            Tls::AlertReceived(Alert::InternalError),
            Tls::AlertReceived(Alert::UserCanceled),
            Tls::HandshakeNotComplete,
        ] {
            assert_eq!(told(&error, shown(true)), None, "{error}");
        }
        // A record garbled after the handshake says nothing about the platform's TLS.
        let garbled = Tls::InvalidMessage(InvalidMessage::InvalidContentType);
        assert_eq!(by_tls(&garbled, shown(false), NOW, false), None);
    }

    #[test]
    fn versions_and_parameters_that_do_not_match_are_told_apart() {
        for (error, fault) in [
            (
                Tls::AlertReceived(Alert::ProtocolVersion),
                TlsFault::Version,
            ),
            (
                Tls::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
                TlsFault::Version,
            ),
            (
                Tls::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
                TlsFault::Parameters,
            ),
            (
                Tls::InvalidMessage(InvalidMessage::InvalidContentType),
                TlsFault::NotTls,
            ),
        ] {
            assert_eq!(
                told(&error, shown(false)),
                Some(Trouble::TlsMismatch(fault))
            );
        }
    }
}
