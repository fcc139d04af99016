//! Decisions while the cluster is not seen as it is, and while an answer proves nothing.

use super::*;
use crate::package::memory::requests::DeletionRequest;

#[test]
fn while_the_cluster_is_not_seen_as_it_is_nothing_is_sent_and_nothing_handed_over() {
    let hindered = |claim| Observation {
        hindrance: Some("a definition lacks .spec.expect".to_owned()),
        claim,
        standing: permitted(Some("i-1".into())),
        ..seen(with_intent(going(), "i-1"))
    };
    for claim in [
        Claim::Nobody,
        Claim::Claimed(ObjectKey::new("fleet", "other")),
    ] {
        let Decision::Rest {
            reason: Reason::Queued,
            message,
            ..
        } = decide(&hindered(claim), now())
        else {
            panic!("it doesn't wait")
        };
        assert!(message.contains(".spec.expect"), "{message}");
    }
    // `Retain` releases an object without sight, as a finished deletion does.
    let mut retained = hindered(Claim::Nobody);
    let mut object = going();
    object.spec.as_mut().unwrap().deletion_policy = DeletionPolicy::Retain;
    retained.object = Arc::new(object);
    assert!(matches!(decide(&retained, now()), Decision::Release { .. }));
}

#[test]
fn an_object_whose_fields_may_be_lost_says_how_a_person_confirms_it() {
    let mut lost = fixtures::undecodable("a");
    lost.spec.as_mut().unwrap_err().lost = true;
    for object in [lost.clone(), fixtures::deleted(lost.clone())] {
        let Decision::Rest {
            reason: Reason::FieldsLost,
            message,
            ..
        } = decide(&seen(object), now())
        else {
            panic!("it isn't held")
        };
        assert!(message.contains("iodm.dev/confirm: uid-a"), "{message}");
    }
    let mut retained = fixtures::deleted(lost);
    retained.spec.as_mut().unwrap_err().retain = true;
    assert!(matches!(
        decide(&seen(retained), now()),
        Decision::Release { .. }
    ));
}

#[test]
fn a_grace_period_that_was_over_begins_anew_with_the_sight_of_the_cluster() {
    let now = now();
    let grace = Duration::from_secs(30);
    let since = |ago| {
        let mut seen = seen(going());
        if let PlatformView::Usable { grace: of, .. } = &mut seen.platform {
            *of = grace;
        }
        seen.graces_since = Some(now.tick - ago);
        seen.request = Some(DeletionRequest {
            at: now.wall,
            since: now.tick - Duration::from_secs(3600),
        });
        decide(&seen, now)
    };
    let Decision::Rest {
        reason: Reason::GracePeriod,
        until: Some(until),
        ..
    } = since(Duration::from_secs(10))
    else {
        panic!("it doesn't wait")
    };
    let left = until - now.tick;
    assert!(left >= Duration::from_secs(20) && left <= Duration::from_secs(21));
    assert!(matches!(since(grace), Decision::Request(_)));
}
