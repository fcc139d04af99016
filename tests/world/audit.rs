//! The audit log of all processes.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;
use tokio::time::sleep;
use version_package_operator::telemetry::audit::{AuditLog, Sink};

use crate::around::Around;
use crate::faults::{Fault, SLOW, To};
use crate::record::Event;

/// How long a hanging write hangs.
const HANGS: Duration = Duration::from_secs(40);

/// The audit lines so far. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Paper(Arc<Mutex<Vec<String>>>);

impl Paper {
    /// The audit lines so far, parsed.
    pub fn lines(&self) -> Vec<Value> {
        let read = |line: &String| serde_json::from_str(line).unwrap();
        self.lock().iter().map(read).collect()
    }

    /// Returns an audit log for one process to write to.
    pub fn pen(&self, around: &Around) -> AuditLog {
        AuditLog::to(Pen {
            paper: self.clone(),
            around: around.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Clone)]
struct Pen {
    paper: Paper,
    around: Around,
}

impl Sink for Pen {
    fn append(&self, line: Vec<u8>) -> BoxFuture<'static, io::Result<()>> {
        let Self { paper, around } = self.clone();
        Box::pin(async move {
            around.life.goes_on().await;
            let fault = around.meet(To::Audit).await;
            if let Some(Fault::Lost | Fault::Refused(_)) = fault {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            around.trace.say(&around.who, format_args!("audit {line}"));
            let read = serde_json::from_str(&line).unwrap();
            around.record.add(Event::Noted(read));
            paper.lock().push(line);
            around.happened(fault).await;
            match fault {
                // A hanging disk blocks the writer for some time; the line is written in the end.
                Some(Fault::Hung) => {
                    sleep(HANGS).await;
                    Ok(())
                }
                Some(Fault::Slow) => {
                    sleep(SLOW).await;
                    Ok(())
                }
                Some(Fault::Unanswered) => Err(io::ErrorKind::TimedOut.into()),
                Some(_) | None => Ok(()),
            }
        })
    }
}
