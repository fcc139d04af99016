//! Why no answer came.

use std::error::Error;
use std::io;

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
        .filter_map(tls_error)
        .find_map(|error| by_tls(error, certificate_missed));
    match tls {
        Some(trouble) => trouble,
        None if error.is_connect() || error.is_builder() => Trouble::NotConnected,
        None if error.is_timeout() => Trouble::TimedOut,
        None => Trouble::ConnectionLost,
    }
}

fn tls_error<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    cause.downcast_ref().or_else(|| {
        // An io::Error skips what it wraps when asked for its source.
        let inner = cause.downcast_ref::<io::Error>()?.get_ref()?;
        causes(inner).find_map(|inner| inner.downcast_ref())
    })
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
            | Alert::CertificateRequired => Some(Trouble::ClientCertificateRefused),
            Alert::HandshakeFailure if certificate_missed => {
                Some(Trouble::ClientCertificateRefused)
            }
            _ => None,
        },
        _ => None,
    }
}
