//! Whom we trust, and who trusts us.

use super::*;

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_named_and_the_right_ca_heals() {
    let rig = Rig::shared("untrusted", Layout::default()).await;
    rig.active(&[("meter", FIRST)]).await;
    let foreign = rcgen::generate_simple_self_signed(["elsewhere.example".to_owned()]).unwrap();
    set_secret(
        &rig,
        "production-ca",
        &json!({"ca.crt": foreign.cert.pem()}),
    );
    rig.delete("meter");
    rig.reason("meter", "PlatformUnavailable").await;
    let said = platform_says(
        rig.plane,
        &rig.namespace,
        "production",
        "CertificateNotTrusted",
    )
    .await;
    let secret = format!("{}/production-ca", rig.namespace);
    for part in ["ca.crt", "spec.tls.serverName", &secret] {
        assert!(said.contains(part), "{said} lacks {part}");
    }
    let right = std::fs::read_to_string(rig.simulator.tls_dir().join("ca.crt")).unwrap();
    set_secret(&rig, "production-ca", &json!({"ca.crt": right}));
    goes(&rig, "meter").await;
    platform_says(rig.plane, &rig.namespace, "production", "Available").await;
}

#[tokio::test]
async fn a_client_certificate_is_asked_for_by_name_and_shown() {
    let layout = Layout {
        simulator: SimulatorOptions {
            client_cert: "required",
            ..Layout::default().simulator
        },
        ..Layout::default()
    };
    let rig = Rig::shared("client-cert", layout).await;
    let names = ["production-app", "production-ca", "production-client"];
    rig.plane.grant_secrets(&rig.namespace, &names);
    rig.active(&[("meter", FIRST)]).await;
    rig.delete("meter");
    let said = platform_says(
        rig.plane,
        &rig.namespace,
        "production",
        "ClientCertificateRefused",
    )
    .await;
    assert!(said.contains("spec.tls.clientCertSecretRef"), "{said}");
    assert!(rig.get("meter").await.is_some());
    let tls = rig.simulator.tls_dir();
    let (certificate, key) = (tls.join("client.crt"), tls.join("client.key"));
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    rig.kubectl(&[
        "create",
        "secret",
        "tls",
        "production-client",
        "--cert",
        certificate,
        "--key",
        key,
    ])
    .expect_ok();
    let identity = json!({"clientCertSecretRef": {"name": "production-client"}});
    rig.patch("platform/production", &json!({"spec": {"tls": identity}}));
    goes(&rig, "meter").await;
    platform_says(rig.plane, &rig.namespace, "production", "Available").await;
    assert!(!rig.simulator.has(FIRST).await);
}
