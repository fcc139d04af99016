//! Handles the end of a write.

use tokio::time::Instant;

use super::super::finalizer;
use super::super::object::PlatformObject;
use super::telling::{refused_note, status_refused, tell, tell_end};
use super::{Due, Writer};
use crate::writes::End;

/// A write that has ended, with its object and result.
pub(super) enum EndedWrite {
    Finalizers(Box<PlatformObject>, End),
    Status(Box<Due>, End),
}

impl Writer {
    pub(super) fn take_in(&mut self, ended: EndedWrite) {
        let now = Instant::now();
        match ended {
            EndedWrite::Finalizers(object, end) => {
                self.busy.remove(&object.key);
                if let Some(words) = self.finalizers.ended(&object, &end, now) {
                    let refusal = finalizer::refusal(&words);
                    tell(&self.context, &object, refused_note(&refusal));
                }
                tell_end(&self.context, &object, "finalizers", &end);
                self.tell_refused();
            }
            EndedWrite::Status(due, end) => {
                let Due {
                    object,
                    complains,
                    round,
                    ..
                } = &*due;
                self.busy.remove(&object.key);
                if *complains {
                    self.complaints.ended(object, &end, now);
                } else if let Some(words) = self.statuses.ended(object, &end, now) {
                    tell(&self.context, object, status_refused(&words));
                }
                tell_end(&self.context, object, "status", &end);
                let taken = matches!(end, End::Taken(_));
                if !taken {
                    // No part of the status was stored.
                    let repeats = if *complains {
                        &mut self.complained
                    } else {
                        &mut self.written
                    };
                    repeats.forget(&object.key);
                }
                let settled =
                    round.and_then(|(group, number)| self.rounds.ended(group, number, taken));
                let guards = &self.context.guards;
                match settled {
                    Some(settled) if settled.taken => guards.recorded(&settled.record),
                    Some(settled) if settled.record.urgent => guards.not_recorded(&settled.record),
                    Some(_) | None => {}
                }
            }
        }
    }

    pub(super) fn tell_refused(&self) {
        let refused = finalizer::refusals(&self.finalizers, Instant::now());
        self.context.directory.finalizers_refused(refused);
    }
}
