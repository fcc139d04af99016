//! Unexpected values of the annotation `iodm.dev/paused` and of times.

use super::*;

#[tokio::test]
async fn every_value_of_the_pause_but_false_holds_and_an_odd_one_is_reported() {
    let odd = ["True", "yes", "1", "", "False"];
    let names = ["odd-0", "odd-1", "odd-2", "odd-3", "odd-4"];
    let files = [
        "package-00001",
        "package-00002",
        "package-00003",
        "package-00004",
        "package-00005",
    ];
    let mut packages: Vec<(&str, &str)> = names.into_iter().zip(files).collect();
    packages.push(("free", "package-00006"));
    let rig = laid_out("odd-pause", &packages).await;
    for (name, value) in names.into_iter().zip(odd) {
        rig.annotate(&format!("vp/{name}"), "paused", Some(value));
    }
    rig.annotate("vp/free", "paused", Some("false"));
    for (number, name) in names.into_iter().enumerate() {
        // Half of the objects are deleted, half retired.
        if number % 2 == 0 {
            rig.delete(name);
        } else {
            rig.retire(name);
        }
    }
    rig.delete("free");
    for (name, value) in names.into_iter().zip(odd) {
        let said = message(&rig.reason(name, "Paused").await);
        for part in [
            "iodm.dev/paused",
            &format!("the value of the annotation is {value:?}"),
        ] {
            assert!(said.contains(part), "{said} lacks {part}");
        }
    }
    rig.gone("free").await;
    for file in files {
        assert_untouched(&rig, file).await;
    }
    rig.annotate("vp/odd-0", "paused", Some("false"));
    rig.gone("odd-0").await;
}

#[tokio::test]
async fn an_active_object_shows_its_pause_until_the_annotation_is_removed() {
    let rig = laid_out("active-pause", &[("meter", FIRST)]).await;
    let says = async |part: &str, there: bool| {
        let what = format!("to say {part}: {there}");
        rig.becomes("meter", &what, HEALED, |object| {
            ready(object)["reason"] == "Active" && message(object).contains(part) == there
        })
        .await
    };
    says("iodm.dev/paused", false).await;
    rig.annotate("vp/meter", "paused", Some("true"));
    let said = message(&says("iodm.dev/paused", true).await);
    assert!(!said.contains("the value of the annotation"), "{said}");
    rig.annotate("vp/meter", "paused", Some("on"));
    says("the value of the annotation is \"on\"", true).await;
    rig.annotate("vp/meter", "paused", None);
    says("iodm.dev/paused", false).await;
}

#[tokio::test]
async fn an_object_with_a_retirement_beyond_all_times_is_active_and_can_be_deleted() {
    let rig = Rig::shared("never", Layout::default()).await;
    let never = json!({"retireAfter": "9999-12-31T23:59:59Z"});
    let object = rig.manifest("meter", FIRST, &never);
    rig.plane.apply(&object.to_string()).expect_ok();
    rig.reason("meter", "Active").await;
    assert_untouched(&rig, FIRST).await;
    rig.delete("meter");
    rig.gone("meter").await;
}
