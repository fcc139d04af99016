//! Under which name the platform is spoken to.
//!
//! The HTTP client takes one name for everything: the address that is looked up, the server name of the
//! TLS connection, and the header `Host`. Where `tls.serverName` gives another for the second, requests are
//! made to that name, while the address and the header stay those of the endpoint.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderValue;
use rustls::pki_types::ServerName;
use url::{Host, Url};

use crate::api::names::Endpoint;

/// Where requests go to.
pub(super) struct Address {
    /// What every URL begins with.
    pub base: String,
    /// What differs from the endpoint, where its host isn't the name of the TLS connection.
    pub other_name: Option<OtherName>,
}

/// What a name that isn't the endpoint's host needs.
pub(super) struct OtherName {
    /// The header `Host`.
    pub host: HeaderValue,
    /// The addresses of the endpoint.
    pub lookup: Arc<Lookup>,
}

impl Address {
    pub(super) fn new(endpoint: &Endpoint, server_name: Option<&str>) -> Self {
        match server_name.and_then(|name| renamed(endpoint, name)) {
            Some((base, other_name)) => Self {
                base,
                other_name: Some(other_name),
            },
            None => Self {
                base: endpoint.url().to_owned(),
                other_name: None,
            },
        }
    }
}

/// `None` where the name is the endpoint's anyway or can't be sent: an IP address never is, and a proxy
/// would be asked for a host of that name. Then it is only what the certificate must carry.
fn renamed(endpoint: &Endpoint, name: &str) -> Option<(String, OtherName)> {
    if !matches!(ServerName::try_from(name), Ok(ServerName::DnsName(_))) {
        return None;
    }
    let url = Url::parse(endpoint.url()).ok()?;
    let proxied = Matcher::from_system().intercept(&endpoint.url().parse().ok()?);
    if proxied.is_some() {
        return None;
    }
    let host = url.host()?.to_owned();
    let mut renamed = url.clone();
    renamed.set_host(Some(name)).ok()?;
    let sent = renamed
        .host_str()
        .filter(|sent| sent.eq_ignore_ascii_case(name))?;
    if url.host_str() == Some(sent) {
        return None;
    }
    let header = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_string(),
    };
    let base = renamed.as_str().trim_end_matches('/').to_owned();
    let other_name = OtherName {
        host: HeaderValue::try_from(header).ok()?,
        lookup: Arc::new(Lookup(host)),
    };
    Some((base, other_name))
}

/// Finds the addresses of one host, whatever name it is asked for.
pub(super) struct Lookup(Host);

impl Resolve for Lookup {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = match host {
                Host::Domain(name) => tokio::net::lookup_host((name, 0)).await?.collect(),
                Host::Ipv4(address) => vec![(IpAddr::V4(address), 0).into()],
                Host::Ipv6(address) => vec![(IpAddr::V6(address), 0).into()],
            };
            let found: Addrs = Box::new(found.into_iter());
            Ok(found)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(endpoint: &str, name: Option<&str>) -> (String, Option<String>) {
        let address = Address::new(&endpoint.parse().unwrap(), name);
        let host = address.other_name.map(|other| other.host);
        (
            address.base,
            host.map(|host| host.to_str().unwrap().to_owned()),
        )
    }

    #[test]
    fn another_name_is_asked_for_while_the_header_stays_the_endpoints() {
        for (endpoint, base, host) in [
            (
                "https://10.0.0.1:8743/base/",
                "https://iot.example.com:8743/base",
                "10.0.0.1:8743",
            ),
            ("https://gateway", "https://iot.example.com", "gateway"),
            ("https://[::1]:443", "https://iot.example.com", "[::1]"),
            ("https://[::1]:1", "https://iot.example.com:1", "[::1]:1"),
        ] {
            let found = address(endpoint, Some("iot.example.com"));
            assert_eq!(found, (base.to_owned(), Some(host.to_owned())));
        }
    }

    #[test]
    fn what_can_not_be_sent_or_is_the_same_changes_nothing() {
        for name in [
            None,
            Some("10.0.0.7"),
            Some("::1"),
            Some("GATEWAY"),
            Some("a b"),
            Some("xn--a"),
        ] {
            let found = address("https://gateway:8743/base", name);
            assert_eq!(
                found,
                ("https://gateway:8743/base".to_owned(), None),
                "{name:?}"
            );
        }
    }
}
