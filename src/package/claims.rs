//! Who else wants a package: pure judgement over the objects that name it.

#![deny(clippy::wildcard_enum_match_arm)]

use k8s_openapi::jiff::Timestamp;

use super::object::Object;
use crate::api::names::{AppId, ObjectKey};

/// What the `Platform` of another object says of the application that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Belonging {
    /// The Platform is usable, or was when the credentials were last good.
    To(AppId),
    /// The same, but the Platform is being deleted and takes on no new objects.
    Closing(AppId),
    /// The Platform does not allow the object.
    Refused,
    /// There is no Platform, or nobody can read its application yet.
    Unknown,
}

/// Whether somebody else wants the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Nobody does.
    Nobody,
    /// This object does.
    Claimed(ObjectKey),
    /// This object may, for the reason given.
    Unclear(ObjectKey, &'static str),
}

/// Judges whether any of `others`, which all name the same `fileId`, claims the package of `application`.
///
/// A claim is an accepted object that is neither being deleted nor retired. A definite claim wins
/// over an unclear one, and of several the first by name is named, so that the answer is stable.
pub fn judge(application: &AppId, others: &[(&Object, Belonging)], now: Timestamp) -> Claim {
    let mut found = Claim::Nobody;
    for (other, belonging) in others {
        let next = claim_of(application, other, belonging, now);
        found = match (found, next) {
            (found, Claim::Nobody) | (found @ Claim::Claimed(_), Claim::Unclear(..)) => found,
            (Claim::Claimed(a), Claim::Claimed(b)) => Claim::Claimed(a.min(b)),
            (Claim::Unclear(a, why), Claim::Unclear(b, _)) if a <= b => Claim::Unclear(a, why),
            (Claim::Nobody | Claim::Unclear(..), next) => next,
        };
    }
    found
}

fn claim_of(application: &AppId, other: &Object, belonging: &Belonging, now: Timestamp) -> Claim {
    let unclear = |why| Claim::Unclear(other.key.clone(), why);
    if other.deleted_at.is_some() || other.is_retired(now) {
        return Claim::Nobody;
    }
    let readable = other.spec.is_ok();
    match (other.application(), belonging) {
        (Some(theirs), _) | (None, Belonging::To(theirs) | Belonging::Closing(theirs))
            if theirs != application =>
        {
            Claim::Nobody
        }
        (Some(_), _) if readable && other.has_finalizer() => Claim::Claimed(other.key.clone()),
        (None, Belonging::Refused) => Claim::Nobody,
        (Some(_), _) | (None, Belonging::Unknown) if !readable => unclear("can't be read"),
        (Some(_), _) => unclear("has lost its finalizer, which is put back"),
        (None, Belonging::To(_)) => unclear("is about to be accepted"),
        (None, Belonging::Closing(_)) => unclear(
            "names a Platform that is being deleted and takes on no new objects: the annotation iodm.dev/abandon on it, \
             its uid as the value, lets it go, and one created anew takes both up",
        ),
        (None, Belonging::Unknown) => {
            unclear("names a Platform whose application is not known yet")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::fixtures::{self, app};

    fn judged(others: &[(&Object, Belonging)]) -> Claim {
        judge(&app("app-1"), others, fixtures::now())
    }

    #[test]
    fn an_accepted_live_object_with_our_finalizer_claims_whatever_its_platform_says_now() {
        let other = fixtures::accepted("b", "app-1");
        for belonging in [
            Belonging::Unknown,
            Belonging::Refused,
            Belonging::To(app("app-2")),
        ] {
            assert_eq!(
                judged(&[(&other, belonging)]),
                Claim::Claimed(other.key.clone())
            );
        }
    }

    #[test]
    fn objects_that_go_or_are_retired_or_belong_to_another_application_claim_nothing() {
        let going = Object {
            deleted_at: Some(fixtures::now()),
            ..fixtures::accepted("b", "app-1")
        };
        let retired = fixtures::retired(fixtures::accepted("c", "app-1"));
        let foreign = fixtures::accepted("d", "app-2");
        let refused = fixtures::object("e");
        assert_eq!(
            judged(&[
                (&going, Belonging::Unknown),
                (&retired, Belonging::Unknown),
                (&foreign, Belonging::To(app("app-1"))),
                (&refused, Belonging::Refused),
                (&refused, Belonging::To(app("app-2"))),
                (&refused, Belonging::Closing(app("app-2"))),
            ]),
            Claim::Nobody
        );
    }

    #[test]
    fn whoever_may_be_a_claimant_makes_the_claim_unclear() {
        let bare = Object {
            finalizers: Vec::new(),
            ..fixtures::accepted("b", "app-1")
        };
        let broken = fixtures::undecodable("c");
        let fresh = fixtures::object("d");
        for (other, belonging) in [
            (&bare, Belonging::To(app("app-1"))),
            (&broken, Belonging::Unknown),
            (&fresh, Belonging::Unknown),
            (&fresh, Belonging::To(app("app-1"))),
            (&fresh, Belonging::Closing(app("app-1"))),
        ] {
            assert!(matches!(judged(&[(other, belonging)]), Claim::Unclear(..)));
        }
    }

    #[test]
    fn a_definite_claim_is_named_before_an_unclear_one_and_always_the_same_one() {
        let (b, c, fresh) = (
            fixtures::accepted("b", "app-1"),
            fixtures::accepted("c", "app-1"),
            fixtures::object("a"),
        );
        let mut others = vec![
            (&c, Belonging::Unknown),
            (&fresh, Belonging::Unknown),
            (&b, Belonging::Unknown),
        ];
        assert_eq!(judged(&others), Claim::Claimed(b.key.clone()));
        others.reverse();
        assert_eq!(judged(&others), Claim::Claimed(b.key.clone()));
    }
}
