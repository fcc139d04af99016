//! What an answer of the platform means: one pure function from status and body.

/// Which call was answered; a few answers mean something only for some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// A login.
    Login,
    /// The look-up of one package.
    Show,
    /// One page of the list of packages.
    List,
    /// The deletion of one package.
    Delete,
}

/// What an answer means. The variants are the rows of the answer table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A 2xx that says nothing against it: done.
    Done,
    /// 404 with 123002 to a delete or a show: the package is not there.
    AlreadyGone(Detail),
    /// Too many calls of the application.
    Throttled(Detail),
    /// The access token is not (or no longer) valid.
    TokenRefused(Detail),
    /// The credentials are wrong.
    CredentialsRefused(Detail),
    /// The platform does not take the `fileId` for an id.
    InvalidFileId(Detail),
    /// The platform refuses the application itself.
    ApplicationRefused(Detail),
    /// Proves nothing: wrong host or path, or a changed platform. Never taken for gone.
    Unexpected(Detail),
    /// Unknown whether it happened; trying again will tell.
    Unavailable(Detail, Trouble),
}

/// What was seen of an answer, fit to be shown to people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detail {
    /// The HTTP status; `None` where no answer came.
    pub http_status: Option<u16>,
    /// The platform's code; at most 32 characters.
    pub code: Option<String>,
    /// The platform's text or ours; at most 256 characters, never a secret.
    pub message: String,
}

/// Why it is unknown whether a call happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// An answer came: a 5xx, a 409, or one whose body could not be read.
    Answered,
    /// No connection was made; nothing was sent.
    NotConnected,
    /// The platform's certificate is not trusted or carries another name; nothing was sent.
    CertificateNotTrusted,
    /// The platform wants a client certificate or refuses the one shown; nothing was sent.
    ClientCertificateRefused,
    /// The connection broke after the request may have been sent.
    ConnectionLost,
    /// No answer came within the time-out.
    TimedOut,
}

impl Answer {
    /// The word of the variant, for logs and metric labels.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "Done",
            Self::AlreadyGone(_) => "AlreadyGone",
            Self::Throttled(_) => "Throttled",
            Self::TokenRefused(_) => "TokenRefused",
            Self::CredentialsRefused(_) => "CredentialsRefused",
            Self::InvalidFileId(_) => "InvalidFileId",
            Self::ApplicationRefused(_) => "ApplicationRefused",
            Self::Unexpected(_) => "Unexpected",
            Self::Unavailable(..) => "Unavailable",
        }
    }

    /// What was seen of it; `None` for a plain success.
    pub fn detail(&self) -> Option<&Detail> {
        match self {
            Self::Done => None,
            Self::AlreadyGone(detail)
            | Self::Throttled(detail)
            | Self::TokenRefused(detail)
            | Self::CredentialsRefused(detail)
            | Self::InvalidFileId(detail)
            | Self::ApplicationRefused(detail)
            | Self::Unexpected(detail)
            | Self::Unavailable(detail, _) => Some(detail),
        }
    }
}
