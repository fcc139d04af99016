//! The reasons why a call brought no answer, or an unreadable one.

/// The reason why it is unknown whether a call took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// An answer came: a 5xx, a 409, or one with an unreadable body.
    Answered,
    /// No connection was made; nothing was sent.
    NotConnected,
    /// The platform's certificate isn't trusted; nothing was sent.
    CertificateNotTrusted(CertificateFault),
    /// The platform demands a client certificate or refuses the presented one; nothing was sent.
    ClientCertificateRefused(ClientFault),
    /// The platform speaks no TLS, or shares no TLS parameters with this process; nothing was sent.
    TlsMismatch(TlsFault),
    /// The connection broke after the request may have been sent.
    ConnectionLost,
    /// No answer came within the time limit.
    TimedOut,
}

impl Trouble {
    /// Whether the trouble doesn't end by itself, so that a person has to repair its cause.
    pub fn needs_person(self) -> bool {
        match self {
            Self::CertificateNotTrusted(_)
            | Self::ClientCertificateRefused(_)
            | Self::TlsMismatch(_) => true,
            Self::Answered | Self::NotConnected | Self::ConnectionLost | Self::TimedOut => false,
        }
    }
}

/// The fault of the platform's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertificateFault {
    /// No trusted certificate issued the certificate.
    Issuer,
    /// The certificate is a CA certificate, and not itself a trusted one.
    Ca,
    /// The certificate or an intermediate certificate has expired.
    Expired,
    /// The certificate or an intermediate certificate isn't valid yet.
    NotYetValid,
    /// The certificate carries other names than the wanted one.
    OtherName,
    /// The certificate carries no DNS name or IP address.
    NoName,
    /// The purpose of the certificate excludes servers.
    Purpose,
    /// The certificate can't be parsed, or its signature algorithm is no longer trusted.
    Unusable,
}

/// The fault of the client certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientFault {
    /// No client certificate is configured.
    Missing,
    /// The certificate has expired.
    Expired,
    /// The certificate isn't valid yet.
    NotYetValid,
    /// The platform doesn't know the issuer of the certificate.
    Issuer,
    /// The platform refuses the certificate without a more precise reason.
    Refused,
}

/// The reason why the TLS handshake with the platform fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsFault {
    /// The platform speaks another protocol than TLS.
    NotTls,
    /// The platform supports neither TLS 1.2 nor 1.3.
    Version,
    /// The platform and this process share no cipher, curve or signature algorithm.
    Parameters,
    /// The platform doesn't serve the requested server name.
    Name,
}

/// The reason why the body of an answer can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyFault {
    /// The body is longer than its size limit.
    TooLarge,
    /// The connection broke before the end of the body.
    Cut,
    /// The body didn't end within the time limit.
    TimedOut,
    /// The body can't be decompressed.
    Undecodable,
}
