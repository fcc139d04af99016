//! An object that others write continuously is deleted all the same.

use std::time::Instant;

use super::*;

#[tokio::test]
async fn an_object_annotated_twenty_times_a_second_is_deleted_within_ten_seconds() {
    let rig = Rig::shared("annotated", at_once()).await;
    rig.active(&[("meter-fw", "package-00001")]).await;
    let api = rig.packages().clone();
    let annotator = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        for count in 0.. {
            ticks.tick().await;
            let body = json!({"metadata": {"annotations": {"count": count.to_string()}}});
            let patched = api
                .patch("meter-fw", &PatchParams::default(), &Patch::Merge(&body))
                .await;
            if matches!(&patched, Err(kube::Error::Api(status)) if status.code == 404) {
                return count;
            }
        }
        unreachable!()
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    rig.delete("meter-fw");
    let written = tokio::time::timeout(Duration::from_secs(10), annotator).await;
    let written = written.expect("it goes within ten seconds").unwrap();
    println!("gone after {:?} and {written} annotations", begun.elapsed());
    assert_eq!(rig.deletes("package-00001").await.len(), 1);
}
