//! A Platform with the same credential that trusts a wrong CA.

use super::*;

/// A certificate of an unrelated server.
fn foreign() -> String {
    let made = rcgen::generate_simple_self_signed(["elsewhere.example".to_owned()]);
    made.unwrap().cert.pem()
}

fn set_ca(tenant: &Tenant<'_>, pem: &str) {
    let patch = json!({"stringData": {"ca.crt": pem}}).to_string();
    let arguments = [
        "patch",
        "secret/production-ca",
        "--type=merge",
        "-p",
        &patch,
    ];
    tenant.kubectl(&arguments);
}

#[tokio::test]
async fn a_wrong_ca_of_the_first_platform_by_name_does_not_prevent_reads_of_the_list() {
    let reads = json!({"inventory": {"interval": "1s"}});
    let layout = Layout {
        platform: reads.clone(),
        ..Layout::default()
    };
    let rig = Rig::shared("z-right-ca", layout).await;
    let same = json!({"appId": rig.namespace, "secret": "correct-horse-battery"});
    let tenant = Tenant::bring(&rig, "a-wrong-ca", &same);
    set_ca(&tenant, &foreign());
    tenant.change(&json!({"spec": reads})).await;
    let lists = async || {
        let ledger = rig.simulator.ledger().await;
        let lists = ledger.iter().filter(|call| call["verdict"] == "listed");
        lists.count()
    };
    let before = lists().await;
    wait_for("two more lists", SOON, async || {
        (lists().await > before + 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_wrong_ca_with_an_equal_credential_delays_only_its_own_objects() {
    let rig = Rig::shared("right-ca", Layout::default()).await;
    rig.active(&[("one", FIRST), ("two", SECOND)]).await;
    let same = json!({"appId": rig.namespace, "secret": "correct-horse-battery"});
    let tenant = Tenant::bring(&rig, "wrong-ca", &same);
    set_ca(&tenant, &foreign());
    // As many failures in a row as would stop the session of an unreachable platform.
    for number in 3..=9 {
        let (name, package) = (format!("n{number}"), format!("package-0000{number}"));
        tenant.retire(&name, &package);
        tenant.says("vp", &name, "TlsFailed").await;
    }
    rig.delete("one");
    rig.gone("one").await;
    rig.delete("two");
    rig.gone("two").await;
    rig.platform_reason("production", "Available").await;
    let told = tenant
        .says("platform", "production", "CertificateNotTrusted")
        .await;
    let secret = format!("{}/production-ca", tenant.namespace);
    assert!(message(&told).contains(&secret), "{}", message(&told));
    let right = std::fs::read_to_string(rig.simulator.tls_dir().join("ca.crt")).unwrap();
    set_ca(&tenant, &right);
    for number in 3..=9 {
        tenant.says("vp", &format!("n{number}"), "Deleted").await;
    }
}
