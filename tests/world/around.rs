//! The context that the ports of one process share.

use crate::chance::Chance;
use crate::faults::{Fault, Faults, To};
use crate::life::Life;
use crate::record::{Event, Record};
use crate::trace::Trace;

/// One process and the world around it.
#[derive(Debug, Clone)]
pub struct Around {
    /// The name of the pod.
    pub who: String,
    pub life: Life,
    pub chance: Chance,
    pub faults: Faults,
    pub trace: Trace,
    pub record: Record,
}

impl Around {
    /// Returns the fault of an effect that is about to happen. A process that crashes before the effect never returns
    /// from here.
    pub async fn meet(&self, to: To) -> Option<Fault> {
        let fault = self.faults.meet(to);
        if let Some(fault) = fault {
            let by = self.who.clone();
            self.record.add(Event::Met { by, to, fault });
        }
        if fault == Some(Fault::CrashBefore) {
            self.crash().await;
        }
        fault
    }

    /// Handles a crash after the effect: the process never learns that the effect happened.
    pub async fn happened(&self, fault: Option<Fault>) {
        if fault == Some(Fault::CrashAfter) {
            self.crash().await;
        }
    }

    /// Simulates the travel time of a request or an answer.
    pub async fn travel(&self) {
        self.life.goes_on().await;
        self.chance.travel().await;
        self.life.goes_on().await;
    }

    async fn crash(&self) {
        self.trace.say(&self.who, "crashes");
        self.life.end();
        self.life.goes_on().await;
    }
}
