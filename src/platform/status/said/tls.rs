//! Messages for TLS faults that stop all calls: one sentence for each kind of fault.

use super::{Secret, StatusSource, secret};
use crate::api::platform::PlatformReason;
use crate::platform::credentials::PlatformWord;
use crate::platform::directory::Grant;
use crate::remote::answer::{CertificateFault, ClientFault, Detail, TlsFault};

/// Reason and message where the platform's certificate is not trusted.
pub(super) fn not_trusted(
    look: &StatusSource<'_>,
    grant: &Grant,
    detail: &Detail,
    fault: CertificateFault,
) -> PlatformWord {
    let place = secret(look, Secret::Ca);
    let mend = match (fault, grant.connection.trusted()) {
        (CertificateFault::Issuer, Some(read)) => format!(
            "{} read from ca.crt of Secret {place}: put the certificate of its CA there, or the certificate itself",
            number_read(read)
        ),
        (CertificateFault::Issuer, None) => format!(
            "Put the certificate of its CA, or the certificate itself, under ca.crt into Secret {place}"
        ),
        (CertificateFault::Ca, _) => format!(
            "It would count if it stood itself under ca.crt in Secret {place}; else have one issued that is only a server's"
        ),
        (CertificateFault::Expired, _) => {
            "Whoever runs the platform has to renew it; where it was renewed, the clock of the operator's node is wrong".to_owned()
        }
        (CertificateFault::NotYetValid, _) => {
            "It is used once that time has come; where it has, the clock of the operator's node is wrong".to_owned()
        }
        (CertificateFault::OtherName, _) => {
            "If this is the platform all the same, put that name into spec.tls.serverName; else mend spec.endpoint".to_owned()
        }
        (CertificateFault::NoName, _) => {
            "Have it issued anew with a subject alternative name, DNS:NAME or IP:ADDRESS; no setting of the Platform can make up for that".to_owned()
        }
        (CertificateFault::Purpose, _) => {
            "Have it issued anew with the extended key usage serverAuth, or with none".to_owned()
        }
        (CertificateFault::Unusable, _) => {
            "Have it issued anew: X.509 version 3, signed with SHA-256 or better".to_owned()
        }
    };
    PlatformWord::new(
        PlatformReason::CertificateNotTrusted,
        format!(
            "The certificate of {} is not trusted: {detail}. {mend}. {TRIED}",
            grant.key.endpoint
        ),
    )
}

/// Reason and message where the platform refuses the client certificate or asks for one.
pub(super) fn client_refused(
    look: &StatusSource<'_>,
    grant: &Grant,
    detail: &Detail,
    fault: ClientFault,
) -> PlatformWord {
    let place = secret(look, Secret::Client);
    let mend = match fault {
        ClientFault::Missing => {
            format!("Put one that it knows under tls.crt and tls.key into Secret {place}")
        }
        ClientFault::Expired => {
            format!("Put a renewed one under tls.crt and tls.key into Secret {place}")
        }
        ClientFault::NotYetValid => format!(
            "It is used once that time has come; or put another one under tls.crt and tls.key into Secret {place}"
        ),
        ClientFault::Issuer => format!(
            "Have its CA registered with whoever runs the platform, or put one of a CA that it knows under tls.crt and tls.key into Secret {place}, with all between it and the CA after it in tls.crt"
        ),
        ClientFault::Refused => format!(
            "Have it registered with whoever runs the platform, or put one that it knows under tls.crt and tls.key into Secret {place}"
        ),
    };
    PlatformWord::new(
        PlatformReason::ClientCertificateRefused,
        format!(
            "No call to {} can be made: {detail}. {mend}. {TRIED}",
            grant.key.endpoint
        ),
    )
}

/// Reason and message where client and server have no TLS settings in common.
pub(super) fn mismatch(grant: &Grant, detail: &Detail, fault: TlsFault) -> PlatformWord {
    let mend = match fault {
        TlsFault::NotTls => "Mend host and port in spec.endpoint, or what listens there",
        TlsFault::Version => "Have TLS 1.2 or 1.3 switched on there",
        TlsFault::Parameters => {
            "Have ECDHE with AES-GCM or ChaCha20-Poly1305 switched on there, and a key of RSA 2048 bits or more, or of P-256 or P-384"
        }
        TlsFault::Name => {
            "Put the name that it serves into spec.tls.serverName, or mend spec.endpoint"
        }
    };
    PlatformWord::new(
        PlatformReason::TlsMismatch,
        format!(
            "The operator and {} find no TLS that both speak: {detail}. {mend}. {TRIED}",
            grant.key.endpoint
        ),
    )
}

/// The number of certificates that were read from the CA Secret, where the Platform names one.
pub(super) fn trusted(look: &StatusSource<'_>, grant: &Grant) -> Option<String> {
    let read = grant.connection.trusted()?;
    let place = secret(look, Secret::Ca);
    Some(format!(
        "{} read from ca.crt of Secret {place}.",
        number_read(read)
    ))
}

const TRIED: &str = "It is tried again with growing pauses.";

fn number_read(number: usize) -> String {
    match number {
        1 => "1 certificate was".to_owned(),
        number => format!("{number} certificates were"),
    }
}
