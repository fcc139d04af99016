//! Where the audit lines of all processes go.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use serde_json::Value;
use version_package_operator::telemetry::audit::{AuditLog, Sink};

use crate::life::Life;
use crate::trace::Trace;

/// The lines so far. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Paper(Arc<Mutex<Vec<String>>>);

impl Paper {
    /// The lines so far, read.
    pub fn lines(&self) -> Vec<Value> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |line: &String| serde_json::from_str(line).unwrap();
        lines.iter().map(read).collect()
    }

    /// What the process `who` writes with.
    pub fn pen(&self, who: &str, life: &Life, trace: &Trace) -> AuditLog {
        AuditLog::to(Pen {
            paper: self.clone(),
            who: who.to_owned(),
            life: life.clone(),
            trace: trace.clone(),
        })
    }
}

#[derive(Debug, Clone)]
struct Pen {
    paper: Paper,
    who: String,
    life: Life,
    trace: Trace,
}

impl Sink for Pen {
    fn append(&self, line: Vec<u8>) -> BoxFuture<'static, io::Result<()>> {
        let pen = self.clone();
        Box::pin(async move {
            pen.life.goes_on().await;
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            pen.trace.say(&pen.who, format_args!("audit {line}"));
            let mut lines = pen.paper.0.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push(line);
            Ok(())
        })
    }
}
