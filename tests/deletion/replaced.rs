//! An object that is deleted and created again in one step, as some tools replace immutable objects.

use super::*;

#[tokio::test]
async fn an_object_replaced_by_force_reports_its_missing_package_and_its_deletion_still_makes_a_call()
 {
    let rig = laid_out("replaced", &[("meter-fw", FIRST)]).await;
    let manifest = rig.manifest("meter-fw", FIRST, &json!({}));
    let replace = ["replace", "--force", "-f", "-"];
    rig.plane
        .kubectl_with(rig.plane.kubeconfig(), &replace, &manifest.to_string())
        .expect_ok();
    let missing = says(&rig, "meter-fw", "PackageMissing").await;
    assert_eq!(missing["status"]["phase"], "Stalled");
    assert!(message(&missing).contains("was deleted"), "{missing:#}");
    assert_eq!(rig.deletes(FIRST).await.len(), 1);
    // This is a condition and not an outcome.
    assert_eq!(missing["status"]["deletion"].get("outcome"), None);
    rig.delete("meter-fw");
    goes(&rig, "meter-fw").await;
    assert_eq!(rig.deletes(FIRST).await.len(), 2);
}
