//! Serves reports. Limits who gets a report, how many reports are made at the same time, and how large a report is.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, OnceLock};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::Semaphore;

use super::desk::{Desk, REPORT, ReportRefusal};
use super::port::Peer;

/// The most reports that are built or sent at the same time.
const REPORTS: usize = 4;

/// Builds reports, a limited number at the same time.
pub(super) struct Reports {
    desk: Arc<OnceLock<Desk>>,
    places: Arc<Semaphore>,
}

impl Reports {
    pub(super) fn new(desk: Arc<OnceLock<Desk>>) -> Self {
        Self {
            desk,
            places: Arc::new(Semaphore::new(REPORTS)),
        }
    }

    /// Makes a report for a client of the loopback interface, in a form of at most [`REPORT`] bytes.
    pub(super) fn report<Ask, Report: Serialize>(
        &self,
        Extension(peer): &Extension<Arc<Peer>>,
        ask: Result<Query<Ask>, QueryRejection>,
        make: impl FnOnce(&Desk, &Ask) -> Result<Report, ReportRefusal>,
    ) -> Result<Response, ReportRefusal> {
        if !peer.is_near() {
            let error = "reports are given over the loopback interface only: kubectl exec, or kubectl port-forward to the pod";
            return Err(ReportRefusal::new(StatusCode::FORBIDDEN, error));
        }
        // The place is held until the whole report is sent.
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let error = "too many reports are asked for at once; try again in a few seconds";
            ReportRefusal::new(StatusCode::SERVICE_UNAVAILABLE, error)
        })?;
        peer.hold(place);
        let Query(ask) =
            ask.map_err(|wrong| ReportRefusal::new(wrong.status(), wrong.body_text()))?;
        let desk = self.desk.get().ok_or_else(|| {
            let error = "this replica is still starting; try again in a few seconds";
            ReportRefusal::new(StatusCode::SERVICE_UNAVAILABLE, error)
        })?;
        let mut text = Bounded(Vec::new());
        serde_json::to_writer(&mut text, &make(desk, &ask)?)
            .map_err(|_| ReportRefusal::too_large())?;
        Ok(([(CONTENT_TYPE, "application/json")], text.0).into_response())
    }
}

/// A buffer of at most [`REPORT`] bytes.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > REPORT {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The refusal of a report to `peer`.
    fn refused(reports: &Reports, peer: &Arc<Peer>) -> (StatusCode, String) {
        let peer = Extension(Arc::clone(peer));
        let refusal = reports.report(&peer, Ok(Query(())), |_, ()| Ok(()));
        let refusal = refusal.unwrap_err();
        (refusal.status(), refusal.error)
    }

    #[test]
    fn reports_are_given_over_the_loopback_interface_only() {
        let reports = Reports::new(Arc::default());
        let (status, error) = refused(&reports, &Arc::new(Peer::at(false)));
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(
            error.contains("over the loopback interface only"),
            "{error}"
        );
        let (_, error) = refused(&reports, &Arc::new(Peer::at(true)));
        assert!(error.contains("still starting"), "{error}");
    }

    #[test]
    fn the_number_of_reports_is_limited_and_each_counts_until_its_connection_ends() {
        let reports = Reports::new(Arc::default());
        let mut peers: Vec<_> = (0..REPORTS).map(|_| Arc::new(Peer::at(true))).collect();
        for peer in &peers {
            assert!(refused(&reports, peer).1.contains("still starting"));
        }
        let one_more = Arc::new(Peer::at(true));
        let (status, error) = refused(&reports, &one_more);
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(error.contains("too many reports"), "{error}");
        peers.pop();
        assert!(refused(&reports, &one_more).1.contains("still starting"));
    }

    #[test]
    fn the_size_of_a_report_is_limited() {
        let mut text = Bounded(Vec::new());
        text.write_all(&vec![b'x'; REPORT]).unwrap();
        let error = text.write_all(b"x").unwrap_err();
        assert_eq!(
            (error.kind(), text.0.len()),
            (ErrorKind::FileTooLarge, REPORT)
        );
    }
}
