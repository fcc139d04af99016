//! Endpoints and server names.

use std::net::IpAddr;

use version_package_operator::api::names::Endpoint;
use version_package_operator::remote::client::{Connection, Timeouts};
use version_package_operator::remote::tls::TlsSettings;

use super::*;

#[tokio::test]
async fn endpoints_mean_what_is_written() {
    let mut rng = Rng::with_seed(19);
    let mut values = texts(&[
        "https://iot.example.com:8743/base/",
        "HTTPS://IoT.Example.com",
        "https://h:/x",
        "https://h:00443",
        "https://10.0.0.1",
        "https://10.0.0.01",
        "https://010.0.0.1",
        "https://1.2.3",
        "https://0x7f.1",
        "https://256.256.256.256",
        "https://1.2.3.4.",
        "https://foo.1",
        "https://foo.0x",
        "https://1.foo",
        "https://[::1]:1",
        "https://[1:2:3]",
        "https://[::ffff:1.2.3.4]",
        "https://[fe80::1%25eth0]",
        "https://[FD00::1]",
        "https://a_b.c",
        "https://-a",
        "https://a..b",
        "https://.a",
        "https://a.",
        "https://%61",
        "https://h/a/../b",
        "https://h/%2e%2E/b",
        "https://h/./",
        "https://h/...",
        "https://h//a//b//",
        "https://h/a%2Fb",
        "https://h/a\\b",
        "https://h/ü",
        "https://ü",
        "https://h:0",
        "https://h:65535",
        "https://h:65536",
        "https://h/a:b",
        "https://h;x",
    ]);
    let pieces = [
        "https://",
        "a",
        "iot.example.com",
        ".",
        "-",
        "_",
        "1",
        "0x",
        "/",
        ":",
        "443",
        "%2e",
        "..",
        "[::1]",
        "10.0.0.1",
        "B",
    ];
    let random = rows(&mut rng, &pieces[1..], 5).into_iter();
    values.extend(random.map(|value| json!(format!("https://{}", value.as_str().unwrap()))));
    all_mean_what_is_written(platform(), "endpoint", 18, values, |written, spec| {
        let spec = PlatformSpec::read(spec.clone()).unwrap();
        let read: Endpoint = spec
            .endpoint
            .parse()
            .unwrap_or_else(|error| panic!("{written}: {error}"));
        let text = written.as_str().unwrap();
        let rest = text.split_once("://").unwrap().1;
        let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (place, ""),
        };
        let port: u16 = if port.is_empty() {
            443
        } else {
            port.parse().unwrap()
        };
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let host = match address {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            Ok(IpAddr::V4(address)) => address.to_string(),
            Err(_) => host.to_lowercase(),
        };
        let path = format!("/{path}");
        let meant = format!("https://{host}:{port}{}", path.trim_end_matches('/'));
        assert_eq!(read.as_str(), meant, "{text}");
    })
    .await;
}

#[tokio::test]
async fn server_names_can_be_used() {
    let mut rng = Rng::with_seed(19);
    let mut values = texts(&[
        "iot.example.com",
        "10.0.0.1",
        "::1",
        "fd00::1",
        "1::",
        "10.0.0.01",
        "1.2.3",
        "1:2",
        "a:b",
        "a..b",
        "a-.b",
        "-a",
        "a.1",
        "0x1",
        "a.0x",
        "1.a",
        "xn--bcher-kva.example",
        "A_b",
        "::ffff:1.2.3.4",
    ]);
    values.push(json!("a".repeat(63)));
    values.push(json!("a".repeat(64)));
    let pieces = [
        "a",
        "iot",
        "B",
        "1",
        "0x",
        "-",
        ".",
        ":",
        "::",
        "example.com",
    ];
    values.extend(rows(&mut rng, &pieces, 5));
    let own = rcgen::generate_simple_self_signed(["a".to_owned()])
        .unwrap()
        .cert
        .pem();
    let object = with(platform(), "tls", &json!({}));
    all_mean_what_is_written(object, "tls.serverName", 12, values, |written, spec| {
        let spec = PlatformSpec::read(spec.clone()).unwrap();
        let tls = TlsSettings {
            ca: Some(own.clone().into_bytes()),
            server_name: spec.tls.unwrap().server_name,
            ..TlsSettings::default()
        };
        let endpoint = "https://iot.example.com".parse().unwrap();
        let made = Connection::new(&endpoint, &tls, Timeouts::default());
        assert!(made.is_ok(), "{written}: {:?}", made.err());
    })
    .await;
}
