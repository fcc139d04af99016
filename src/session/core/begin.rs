//! How a call begins: with the permit of an object, or as a spare one that nobody waits for.

use std::task::Poll;

use secrecy::SecretString;
use tokio::time::Instant;

use super::{Core, Move, Underway};
use crate::session::Purpose;

impl Core {
    /// Turns the permit of `uid`, where it is for this, into a call with the token that comes back.
    pub(in crate::session) fn begin(
        &mut self,
        uid: &str,
        purpose: Purpose,
        now: Instant,
    ) -> Option<(Underway, SecretString)> {
        self.tidy(now);
        if self.closed || !self.may_send(now) {
            return None;
        }
        // Without a token there is no permit: whatever drops the one voids the other.
        let (token, serial) = self.tokens.current()?;
        self.permits
            .get(uid)
            .filter(|permit| permit.purpose == purpose)?;
        let permit = self.permits.remove(uid)?;
        let call = Underway {
            started: now,
            probe: permit.probe,
            waits: Some((uid.to_owned(), purpose)),
            serial,
        };
        self.under_way.push(now);
        Some((call, token))
    }

    /// One more wants a spare call.
    pub(in crate::session) fn want_spare(&mut self) {
        self.spare += 1;
    }

    /// One less wants a spare call.
    pub(in crate::session) fn forgo_spare(&mut self) {
        self.spare = self.spare.saturating_sub(1);
    }

    /// Begins a call that nobody in the queue waits for, with the token that comes back; `None` where
    /// nothing is begun any more. Only for who [wants](Self::want_spare) one.
    pub(in crate::session) fn begin_spare(
        &mut self,
        now: Instant,
    ) -> Poll<Option<(Underway, SecretString)>> {
        self.tidy(now);
        if self.closed || self.abandoned {
            return Poll::Ready(None);
        }
        let Move::Spare { probe } = self.next_move(now) else {
            return Poll::Pending;
        };
        let Some((token, serial)) = self.tokens.current() else {
            return Poll::Pending;
        };
        self.take(probe, now);
        self.under_way.push(now);
        let call = Underway {
            started: now,
            probe,
            waits: None,
            serial,
        };
        Poll::Ready(Some((call, token)))
    }
}
