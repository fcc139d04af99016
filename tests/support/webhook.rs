//! An admission webhook, for answers that no policy can give.

use std::net::TcpListener;

use axum::Router;
use axum_server::tls_rustls::RustlsConfig;
use k8s_openapi::ByteString;

use super::plane::{Plane, install_crypto};

/// Serves the webhook until the test ends. Returns its URL and the certificate to trust.
pub async fn serve(router: Router) -> (String, ByteString) {
    install_crypto();
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])
        .expect("a certificate can be made");
    let (certificate, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
    let tls = RustlsConfig::from_pem(certificate.clone().into(), key.into());
    let tls = tls.await.expect("usable TLS files");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener
        .set_nonblocking(true)
        .expect("a socket that doesn't block");
    let address = listener.local_addr().expect("an address");
    let service = router.into_make_service();
    let server = axum_server::from_tcp_rustls(listener, tls).expect("a usable listener");
    tokio::spawn(server.serve(service));
    (
        format!("https://{address}/"),
        ByteString(certificate.into_bytes()),
    )
}

/// Registers the webhook for all events in one namespace. Returns the name of the configuration.
pub fn ask_about_events(
    plane: &Plane,
    namespace: &str,
    (url, ca): &(String, ByteString),
) -> String {
    let name = format!("events-{namespace}");
    let configuration = serde_json::json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [{
            "name": "events.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "timeoutSeconds": 30, "failurePolicy": "Fail",
            "clientConfig": {"url": url, "caBundle": ca},
            "rules": [{"apiGroups": ["events.k8s.io"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["events"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        }],
    });
    plane.apply(&configuration.to_string()).expect_ok();
    name
}
