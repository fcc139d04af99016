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
            "{} read from ca.crt of {place}. Put the certificate of the CA of the platform's certificate there, or the platform's certificate itself",
            number_read(read)
        ),
        (CertificateFault::Issuer, None) => format!(
            "Put the certificate of its CA, or the certificate itself, under ca.crt into {place}"
        ),
        (CertificateFault::Ca, _) => format!(
            "To trust it all the same, put this certificate itself under ca.crt into {place}; or have a certificate issued that is only a server's, and not a CA's"
        ),
        (CertificateFault::Expired, _) => {
            "Whoever runs the platform has to renew it; where it was renewed, the clock of the operator's node is wrong".to_owned()
        }
        (CertificateFault::NotYetValid, _) => {
            "The operator accepts the certificate by itself from that time on. If that time has passed already, the clock of the operator's node is wrong".to_owned()
        }
        (CertificateFault::OtherName, _) => {
            "If this is the right platform, put a name that the certificate carries into spec.tls.serverName; if not, mend spec.endpoint".to_owned()
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
            format!(
                "Put a client certificate that the platform accepts under tls.crt and tls.key into {place}"
            )
        }
        ClientFault::Expired => {
            format!("Put a renewed client certificate under tls.crt and tls.key into {place}")
        }
        ClientFault::NotYetValid => format!(
            "The client certificate is used by itself from that time on; to call sooner, put another one under tls.crt and tls.key into {place}"
        ),
        ClientFault::Issuer => format!(
            "Have the CA of the client certificate registered by those who run the platform; or put a client certificate of a CA that the platform knows, with all intermediate certificates after it, under tls.crt, and its key under tls.key, into {place}"
        ),
        ClientFault::Refused => format!(
            "Have the client certificate registered by those who run the platform, or put one that the platform accepts under tls.crt and tls.key into {place}"
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
            "The operator and {} can't agree on TLS: {detail}. {mend}. {TRIED}",
            grant.key.endpoint
        ),
    )
}

/// The number of certificates that were read from the CA Secret, where the Platform names one.
pub(super) fn trusted(look: &StatusSource<'_>, grant: &Grant) -> Option<String> {
    let read = grant.connection.trusted()?;
    let place = secret(look, Secret::Ca);
    Some(format!(
        "{} read from ca.crt of {place}.",
        number_read(read)
    ))
}

const TRIED: &str = "The operator tries again by itself, with growing pauses.";

fn number_read(number: usize) -> String {
    match number {
        1 => "1 certificate was".to_owned(),
        number => format!("{number} certificates were"),
    }
}
