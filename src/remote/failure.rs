//! Why no answer came.

use rustls::AlertDescription as Alert;

use super::answer::Trouble;
use super::body::causes;

/// What kept the answer away, and what to tell people. `certificate_missed`: the platform asked for
/// a client certificate and there was none to show.
pub(super) fn explain(error: &reqwest::Error, certificate_missed: bool) -> (Trouble, String) {
    let trouble = trouble(error, certificate_missed);
    let cause = causes(error)
        .last()
        .map_or_else(String::new, ToString::to_string);
    let message = match trouble {
        Trouble::Answered => cause,
        Trouble::NotConnected if error.is_timeout() => {
            "no connection within the connect time-out".to_owned()
        }
        Trouble::NotConnected => format!("no connection: {cause}"),
        Trouble::CertificateNotTrusted => {
            format!("the platform's certificate is not trusted: {cause}")
        }
        Trouble::ClientCertificateRefused if certificate_missed => {
            format!("the platform demands a client certificate: {cause}")
        }
        Trouble::ClientCertificateRefused => {
            format!("the platform refuses the client certificate: {cause}")
        }
        Trouble::ConnectionLost => format!("the connection broke before the answer: {cause}"),
        Trouble::TimedOut => "no answer within the time-out".to_owned(),
    };
    (trouble, message)
}

fn trouble(error: &reqwest::Error, certificate_missed: bool) -> Trouble {
    // Under TLS 1.3 a refusal of our certificate arrives after the handshake, as the first thing
    // read; so it is looked for before anything else.
    let tls = causes(error)
        .filter_map(|cause| cause.downcast_ref())
        .find_map(|error| by_tls(error, certificate_missed));
    match tls {
        Some(trouble) => trouble,
        None if error.is_connect() || error.is_builder() => Trouble::NotConnected,
        None if error.is_timeout() => Trouble::TimedOut,
        None => Trouble::ConnectionLost,
    }
}

fn by_tls(error: &rustls::Error, certificate_missed: bool) -> Option<Trouble> {
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            Some(Trouble::CertificateNotTrusted)
        }
        rustls::Error::AlertReceived(alert) => match *alert {
            Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            // The signature in our certificate isn't its issuer's: a CA made anew under its old name.
            | Alert::DecryptError
            | Alert::CertificateRequired => Some(Trouble::ClientCertificateRefused),
            Alert::HandshakeFailure if certificate_missed => {
                Some(Trouble::ClientCertificateRefused)
            }
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rustls::{CertificateError, PeerIncompatible};

    use super::*;

    #[test]
    fn a_plain_handshake_failure_is_about_our_certificate_only_where_one_was_missed() {
        let failure = rustls::Error::AlertReceived(Alert::HandshakeFailure);
        assert_eq!(by_tls(&failure, false), None);
        assert_eq!(
            by_tls(&failure, true),
            Some(Trouble::ClientCertificateRefused)
        );
    }

    #[test]
    fn certificates_are_blamed_only_for_what_is_said_about_them() {
        let theirs = rustls::Error::InvalidCertificate(CertificateError::Expired);
        assert_eq!(by_tls(&theirs, true), Some(Trouble::CertificateNotTrusted));
        for alert in [Alert::CertificateRequired, Alert::UnknownCA] {
            assert_eq!(
                by_tls(&rustls::Error::AlertReceived(alert), false),
                Some(Trouble::ClientCertificateRefused)
            );
        }
        for other in [
            rustls::Error::AlertReceived(Alert::ProtocolVersion),
            rustls::Error::AlertReceived(Alert::InternalError),
            rustls::Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered),
        ] {
            assert_eq!(by_tls(&other, true), None, "{other}");
        }
    }
}
