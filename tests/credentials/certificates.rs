//! The trusted certificates of the platform and the client certificate.

use super::*;

#[tokio::test]
async fn an_untrusted_certificate_is_named_and_the_right_ca_repairs_it() {
    let rig = Rig::shared("untrusted", Layout::default()).await;
    rig.active(&[("meter", FIRST)]).await;
    let foreign = rcgen::generate_simple_self_signed(["elsewhere.example".to_owned()]).unwrap();
    set_secret(
        &rig,
        "production-ca",
        &json!({"ca.crt": foreign.cert.pem()}),
    );
    rig.delete("meter");
    rig.reason("meter", "TlsFailed").await;
    let said = platform_says(
        rig.plane,
        &rig.namespace,
        "production",
        "CertificateNotTrusted",
    )
    .await;
    let secret = format!("{}/production-ca", rig.namespace);
    for part in [
        "1 certificate was read from ca.crt",
        "the CA of the platform's certificate",
        &secret,
    ] {
        assert!(said.contains(part), "{said} lacks {part}");
    }
    let right = std::fs::read_to_string(rig.simulator.tls_dir().join("ca.crt")).unwrap();
    set_secret(&rig, "production-ca", &json!({"ca.crt": right}));
    goes(&rig, "meter").await;
    platform_says(rig.plane, &rig.namespace, "production", "Available").await;
}

#[tokio::test]
async fn a_key_without_line_ends_is_reported_and_never_shown() {
    let rig = Rig::shared("flat-key", Layout::default()).await;
    let history = rig.history().await;
    rig.active(&[("meter", FIRST)]).await;
    let made = rcgen::generate_simple_self_signed(["elsewhere.example".to_owned()]).unwrap();
    let flat = made.signing_key.serialize_pem().trim().replace('\n', " ");
    set_secret(&rig, "production-ca", &json!({"ca.crt": flat}));
    let said = platform_says(rig.plane, &rig.namespace, "production", "SecretInvalid").await;
    let named = format!("Secret {}/production-ca: ca.crt", rig.namespace);
    for part in [named.as_str(), "lost its line ends", "--from-file"] {
        assert!(said.contains(part), "{said} lacks {part}");
    }
    let told = rig.reason("meter", "CredentialsMissing").await;
    assert!(message(&told).contains("lost its line ends"));
    // Neither the text of the key nor its bytes as numbers appear anywhere.
    let everything = rig
        .kubectl(&["get", "vp,platform,events", "-o", "json"])
        .expect_ok();
    let log = crate::support::shared_operator().await.log().join("\n");
    let all = format!("{said} {everything} {log} {:?}", history.versions());
    let numbers = format!("{:?}", &flat.as_bytes()[..8]);
    for part in [&flat[28..40], numbers.trim_matches(['[', ']'])] {
        assert!(!all.contains(part), "{part}");
    }
}

#[tokio::test]
async fn the_number_of_certificates_is_shown_and_a_joined_bundle_loses_none() {
    let rig = Rig::shared("joined", Layout::default()).await;
    rig.active(&[("meter", FIRST)]).await;
    let right = std::fs::read_to_string(rig.simulator.tls_dir().join("ca.crt")).unwrap();
    let foreign = rcgen::generate_simple_self_signed(["elsewhere.example".to_owned()]).unwrap();
    let joined = format!("\u{feff}{}{}", foreign.cert.pem().trim(), right);
    set_secret(&rig, "production-ca", &json!({"ca.crt": joined}));
    wait_for("the Platform to say how many", HEALED, async || {
        let said = platform_says(rig.plane, &rig.namespace, "production", "Available").await;
        said.contains("2 certificates were read from ca.crt")
            .then_some(())
    })
    .await;
    rig.delete("meter");
    goes(&rig, "meter").await;
}

#[tokio::test]
async fn an_endpoint_without_tls_stalls_the_platform_and_its_objects_until_it_is_corrected() {
    let rig = Rig::shared("plain", Layout::default()).await;
    rig.active(&[("meter", FIRST)]).await;
    let endpoint = rig.simulator.endpoint();
    let plain = rig.simulator.admin_url("").replace("http:", "https:");
    rig.patch("platform/production", &json!({"spec": {"endpoint": plain}}));
    rig.delete("meter");
    let stalled = rig.reason("meter", "TlsFailed").await;
    assert_eq!(stalled["status"]["phase"], "Stalled");
    let said = platform_says(rig.plane, &rig.namespace, "production", "TlsMismatch").await;
    for part in [plain.as_str(), "no TLS", "spec.endpoint"] {
        assert!(said.contains(part), "{said} lacks {part}");
    }
    rig.patch(
        "platform/production",
        &json!({"spec": {"endpoint": endpoint}}),
    );
    goes(&rig, "meter").await;
}

#[tokio::test]
async fn a_missing_client_certificate_is_named_and_a_configured_one_presented() {
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
