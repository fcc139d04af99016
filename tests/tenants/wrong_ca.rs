//! A Platform of the same credential that trusts a wrong CA.

use super::*;

#[tokio::test]
async fn a_wrong_ca_beside_an_equal_credential_holds_up_its_own_objects_and_nobody_else() {
    let rig = Rig::shared("right-ca", Layout::default()).await;
    rig.active(&[("one", FIRST), ("two", SECOND)]).await;
    let same = json!({"appId": rig.namespace, "secret": "correct-horse-battery"});
    let tenant = Tenant::bring(&rig, "wrong-ca", &same);
    let foreign = rcgen::generate_simple_self_signed(["elsewhere.example".to_owned()]).unwrap();
    let set_ca = |pem: String| {
        let patch = json!({"stringData": {"ca.crt": pem}}).to_string();
        tenant.kubectl(&[
            "patch",
            "secret/production-ca",
            "--type=merge",
            "-p",
            &patch,
        ]);
    };
    set_ca(foreign.cert.pem());
    tenant.retire("three", "package-00003");
    tenant.says("vp", "three", "TlsFailed").await;
    rig.delete("one");
    rig.gone("one").await;
    rig.delete("two");
    rig.gone("two").await;
    rig.platform_reason("production", "Available").await;
    tenant.says("vp", "three", "TlsFailed").await;
    let told = tenant
        .says("platform", "production", "CertificateNotTrusted")
        .await;
    let secret = format!("{}/production-ca", tenant.namespace);
    assert!(message(&told).contains(&secret), "{}", message(&told));
    let right = std::fs::read_to_string(rig.simulator.tls_dir().join("ca.crt")).unwrap();
    set_ca(right);
    tenant.says("vp", "three", "Deleted").await;
}
