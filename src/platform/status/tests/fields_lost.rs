//! The status of a Platform that was written while its definition lacked fields.

use super::super::super::object::SpecFault;
use super::*;

fn lacked_mode() -> SpecFault {
    SpecFault::Lost {
        what: "it lacked .spec.mode".to_owned(),
        uid: "uid-production".to_owned(),
    }
}

#[tokio::test]
async fn that_fields_were_lost_is_the_reason_whatever_else_there_is_to_say() {
    let mut object = platform(&spec());
    object.wanted = Err(lacked_mode());
    let users = Users {
        count: 2,
        some: vec![ObjectKey::new("iot", "a"), ObjectKey::new("iot", "b")],
    };
    let refused =
        |reason, message: &str| Access::Refused(PlatformWord::new(reason, message.to_owned()));
    for (access, parts) in [
        (
            refused(PlatformReason::FieldsLost, "it lacked .spec.mode"),
            [".spec.mode", ""],
        ),
        (
            refused(PlatformReason::Blind, "a watch fails"),
            [".spec.mode", "a watch fails"],
        ),
        (
            refused(PlatformReason::FinalizerRefused, "no right"),
            [".spec.mode", "no right"],
        ),
    ] {
        for (deleted_at, part) in [(None, ""), (Some(at(900)), "2 objects")] {
            object.deleted_at = deleted_at;
            let status = next(&StatusSource {
                users: Some(&users),
                ..look(&object, &access)
            });
            let status = status.unwrap();
            let (_, reason, message) = ready(&status);
            assert_eq!(reason, "FieldsLost");
            assert_eq!(message.matches(".spec.mode").count(), 1, "{message}");
            for part in parts.into_iter().chain([part]) {
                assert!(message.contains(part), "{part}: {message}");
            }
        }
    }
}

#[test]
fn that_fields_were_lost_is_still_said_while_the_status_is_refused() {
    let mut object = platform(&spec());
    let said = |object: &PlatformObject| {
        let status = complaint(object, "policy p says no", at(1000)).unwrap();
        let ready = status.conditions.into_iter().find(|c| c.type_ == READY);
        ready.map(|ready| (ready.reason, ready.message)).unwrap()
    };
    assert_eq!(said(&object).0, "StatusRefused");
    object.wanted = Err(lacked_mode());
    let (reason, message) = said(&object);
    assert_eq!(reason, "FieldsLost");
    let told = format!("{}. Meanwhile: policy p says no", lacked_mode());
    assert_eq!(message, told);
}
