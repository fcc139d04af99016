//! Why a call brought no answer, or none that can be read.

/// Why it is unknown whether a call happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// An answer came: a 5xx, a 409, or one whose body could not be read.
    Answered,
    /// No connection was made; nothing was sent.
    NotConnected,
    /// The platform's certificate is not trusted; nothing was sent.
    CertificateNotTrusted(CertificateFault),
    /// The platform wants a client certificate or refuses the one shown; nothing was sent.
    ClientCertificateRefused(ClientFault),
    /// The platform speaks no TLS, or none that we speak; nothing was sent.
    TlsMismatch(TlsFault),
    /// The connection broke after the request may have been sent.
    ConnectionLost,
    /// No answer came within the time-out.
    TimedOut,
}

impl Trouble {
    /// Whether a person has to mend it, since it doesn't pass by itself.
    pub fn needs_person(self) -> bool {
        match self {
            Self::CertificateNotTrusted(_)
            | Self::ClientCertificateRefused(_)
            | Self::TlsMismatch(_) => true,
            Self::Answered | Self::NotConnected | Self::ConnectionLost | Self::TimedOut => false,
        }
    }
}

/// What is wrong with the platform's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertificateFault {
    /// Nobody who is trusted has issued it.
    Issuer,
    /// It is that of a CA, and not itself among those that are trusted.
    Ca,
    /// Its time, or that of one between it and its CA, is over.
    Expired,
    /// Its time, or that of one between it and its CA, has not begun.
    NotYetValid,
    /// It carries other names.
    OtherName,
    /// It carries none that counts.
    NoName,
    /// It is not for servers.
    Purpose,
    /// It can't be read, or is signed in a way that nobody trusts any more.
    Unusable,
}

/// What is wrong with the certificate that we show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientFault {
    /// There is none.
    Missing,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// The platform doesn't know who issued it.
    Issuer,
    /// The platform refuses it without a reason that says more.
    Refused,
}

/// Why there is no TLS between the platform and us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsFault {
    /// It speaks something else.
    NotTls,
    /// It speaks no version that we speak.
    Version,
    /// It speaks no cipher, curve or signature that we speak.
    Parameters,
    /// It serves nobody under the name that it was asked for.
    Name,
}

/// Why the body of an answer can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyFault {
    /// It is longer than its bound.
    TooLarge,
    /// The connection broke before its end.
    Cut,
    /// Its end did not come within the time-out.
    TimedOut,
    /// It is compressed, and can't be unpacked.
    Undecodable,
}
