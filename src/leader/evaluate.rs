//! Decides on the next step by the last known version of the Lease. The decision uses only this process's own clock.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A Lease is abandoned after this time without a renewal, by the wall clocks of the last holder and of the next one.
const ABANDONED: SignedDuration = SignedDuration::from_mins(5);

/// One period of holding the Lease: it distinguishes a holder from a later holder of the same identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The `acquireTime`; it is only compared for equality.
    pub acquired: Option<Timestamp>,
    /// The `leaseTransitions`.
    pub number: i32,
}

/// The decoded contents of a version of the Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenLease {
    /// The identity of the holder; empty if the Lease was released.
    pub holder: String,
    /// The term of the holder.
    pub term: Term,
    /// The duration of the Lease without a renewal.
    pub duration: Duration,
}

/// The last known version of the Lease.
#[derive(Debug, Clone)]
pub struct LeaseView {
    /// The decoded contents.
    pub seen: SeenLease,
    /// When this process first read this version; never before the write of the version.
    pub since: Instant,
    /// Whether the Lease has been deleted since.
    pub gone: bool,
}

/// The identity and the term of this process.
#[derive(Debug, Clone)]
pub struct Me {
    /// The identity of this process.
    pub identity: String,
    /// The term in which this process leads; `None` while it doesn't lead.
    pub term: Option<Term>,
}

/// The next step of leader election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseStep {
    /// No Lease exists: create it.
    Create,
    /// The Lease has no holder, or its holder let it run out: take it.
    Acquire,
    /// The holder was an earlier process of this identity, which has ended: take the Lease back at once.
    TakeBack,
    /// This process holds the Lease: renew it.
    Renew,
    /// Another process holds the Lease, until this instant unless that process renews it.
    WaitUntil(Instant),
    /// This process held the Lease, and no longer does.
    Lost,
}

/// Decides by the last known version of the Lease. `None` means that no Lease was ever read.
pub fn evaluate(view: Option<&LeaseView>, me: &Me, now: Instant) -> LeaseStep {
    let Some(view) = view else {
        return LeaseStep::Create;
    };
    let own = view.seen.holder == me.identity;
    match &me.term {
        // The Lease was deleted. The other processes still wait until the Lease would have run out, so no other process
        // leads yet.
        Some(_) if view.gone => LeaseStep::Create,
        Some(term) if own && view.seen.term == *term => LeaseStep::Renew,
        Some(_) => LeaseStep::Lost,
        None => {
            let ends = view.since + view.seen.duration;
            let held = !own && !view.seen.holder.is_empty();
            match (held && now < ends, view.gone) {
                // The holder of a deleted Lease may not know yet of the deletion.
                (true, _) => LeaseStep::WaitUntil(ends),
                (false, true) => LeaseStep::Create,
                (false, false) if own => LeaseStep::TakeBack,
                (false, false) => LeaseStep::Acquire,
            }
        }
    }
}

/// Whether a Lease that was last renewed at `renewed` has not been renewed for so long (5 min) that people may have
/// changed objects unseen.
pub fn is_abandoned(renewed: Option<Timestamp>, now: Timestamp) -> bool {
    renewed.is_none_or(|renewed| now.duration_since(renewed) >= ABANDONED)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_secs(30);

    #[test]
    fn a_lease_is_abandoned_after_five_minutes_without_a_renewal() {
        let renewed = Timestamp::UNIX_EPOCH;
        let after = |seconds| renewed + Duration::from_secs(seconds);
        assert!(!is_abandoned(Some(renewed), after(299)));
        assert!(is_abandoned(Some(renewed), after(300)));
        assert!(is_abandoned(None, renewed));
    }

    fn term(number: i32) -> Term {
        Term {
            acquired: None,
            number,
        }
    }

    fn held_by(holder: &str, since: Instant) -> LeaseView {
        LeaseView {
            seen: SeenLease {
                holder: holder.to_owned(),
                term: term(3),
                duration: DURATION,
            },
            since,
            gone: false,
        }
    }

    fn me(leads_in: Option<Term>) -> Me {
        Me {
            identity: "me".to_owned(),
            term: leads_in,
        }
    }

    #[test]
    fn a_lease_that_never_was_is_created() {
        assert_eq!(evaluate(None, &me(None), Instant::now()), LeaseStep::Create);
    }

    #[test]
    fn a_released_lease_is_taken_at_once() {
        let now = Instant::now();
        let view = held_by("", now);
        assert_eq!(evaluate(Some(&view), &me(None), now), LeaseStep::Acquire);
    }

    #[test]
    fn the_lease_of_another_is_taken_only_after_it_stood_still_for_its_duration_here() {
        let now = Instant::now();
        let view = held_by("other", now);
        let ends = now + DURATION;
        for soon in [now, ends - Duration::from_nanos(1)] {
            let decision = evaluate(Some(&view), &me(None), soon);
            assert_eq!(decision, LeaseStep::WaitUntil(ends));
        }
        assert_eq!(evaluate(Some(&view), &me(None), ends), LeaseStep::Acquire);
        // A renewal starts the waiting time anew, no matter when the renewal is seen.
        let view = held_by("other", ends);
        let decision = evaluate(Some(&view), &me(None), ends);
        assert_eq!(decision, LeaseStep::WaitUntil(ends + DURATION));
    }

    #[test]
    fn a_process_takes_the_lease_of_its_own_identity_back_at_once() {
        let now = Instant::now();
        let view = held_by("me", now);
        assert_eq!(evaluate(Some(&view), &me(None), now), LeaseStep::TakeBack);
    }

    #[test]
    fn the_leader_renews_its_own_term_whatever_the_time() {
        let now = Instant::now();
        let view = held_by("me", now);
        for at in [now, now + DURATION * 9] {
            assert_eq!(
                evaluate(Some(&view), &me(Some(term(3))), at),
                LeaseStep::Renew
            );
        }
    }

    #[test]
    fn the_leader_has_lost_a_lease_that_another_holds_released_or_took_back() {
        let now = Instant::now();
        for holder in ["other", ""] {
            let view = held_by(holder, now);
            assert_eq!(
                evaluate(Some(&view), &me(Some(term(3))), now),
                LeaseStep::Lost
            );
        }
        let by_a_second_one_like_me = held_by("me", now);
        let decision = evaluate(Some(&by_a_second_one_like_me), &me(Some(term(2))), now);
        assert_eq!(decision, LeaseStep::Lost);
    }

    #[test]
    fn a_deleted_lease_still_binds_all_but_its_holder_until_it_would_have_run_out() {
        let now = Instant::now();
        let gone = |holder: &str| LeaseView {
            gone: true,
            ..held_by(holder, now)
        };
        assert_eq!(
            evaluate(Some(&gone("me")), &me(Some(term(3))), now),
            LeaseStep::Create
        );
        let ends = now + DURATION;
        assert_eq!(
            evaluate(Some(&gone("other")), &me(None), now),
            LeaseStep::WaitUntil(ends)
        );
        assert_eq!(
            evaluate(Some(&gone("other")), &me(None), ends),
            LeaseStep::Create
        );
        for holder in ["", "me"] {
            assert_eq!(
                evaluate(Some(&gone(holder)), &me(None), now),
                LeaseStep::Create
            );
        }
    }
}
