//! Trust and identity of the connection to the platform.

/// How the platform is trusted, and who we say we are. PEM throughout.
#[derive(Clone, Default)]
pub struct TlsSettings {
    /// The certificates that are trusted instead of the system's.
    pub ca: Option<Vec<u8>>,
    /// Our certificate chain and its key.
    pub client: Option<(Vec<u8>, secrecy::SecretSlice<u8>)>,
    /// The name that the platform's certificate must carry, where it isn't the endpoint's host.
    pub server_name: Option<String>,
}

/// Why TLS settings can't be used, in the words of the person who wrote them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The trusted certificates can't be read.
    #[error("ca.crt {0}")]
    Ca(String),
    /// Our certificate or key can't be read, or they don't belong together.
    #[error("tls.crt and tls.key {0}")]
    Client(String),
    /// The server name is none.
    #[error("tls.serverName {0:?} is neither a DNS name nor an IP address")]
    ServerName(String),
}
