//! The address, the TLS server name and the header `Host` of requests to an endpoint.
//!
//! reqwest takes all three from the URL. Where `tls.serverName` differs from the endpoint's host, URLs carry the server
//! name, and a custom DNS resolver and an explicit header keep the endpoint's address and `Host`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderValue;
use rustls::pki_types::ServerName;
use url::{Host, Url};

use crate::api::names::Endpoint;

/// Where the requests to an endpoint go.
pub(super) struct Address {
    /// The beginning of every URL: scheme, host, port and the path of the endpoint.
    pub base: String,
    /// The overrides for a TLS server name that differs from the endpoint's host.
    pub other_name: Option<OtherName>,
}

/// The overrides for requests whose URL carries another name than the endpoint's host.
pub(super) struct OtherName {
    /// The header `Host`: the endpoint's host, and its port unless it is 443.
    pub host: HeaderValue,
    /// The DNS resolver that returns the endpoint's addresses.
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

/// The base URL and the overrides for a server name `name`. `None` where `name` is the endpoint's host, where `name` is
/// no DNS name (TLS never sends an IP address), or where a proxy is used (the proxy would be asked to connect to
/// `name`). The certificate must carry `name` in any case.
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

/// Resolves every name to the addresses of one host.
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
    fn the_server_name_stands_in_the_url_and_the_host_header_stays_the_endpoints() {
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
    fn a_server_name_that_is_unusable_or_the_endpoints_host_changes_nothing() {
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
