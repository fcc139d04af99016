//! The calls that use the token of a credential: DELETE, look-up and list.

use std::pin::pin;
use std::task::Poll;

use tokio_util::task::task_tracker::TaskTrackerToken;

use super::core::Underway;
use super::{Purpose, Session};
use crate::api::names::FileId;
use crate::remote::answer::Answer;
use crate::remote::client::{Authorization, Connection};
use crate::remote::pages::Page;
use crate::remote::wire::CategoryInfo;

impl Session {
    /// Uses the permit of `uid` for one DELETE over `connection`, and updates the session from the answer. Returns
    /// `None`, with nothing sent, if the object holds no permit for a DELETE or there is no token.
    ///
    /// A call whose future is dropped counts until the end of its time-out.
    pub async fn delete(
        &self,
        uid: &str,
        connection: &Connection,
        file_id: &FileId,
    ) -> Option<Answer> {
        let begun = self.change(|core, now| core.begin(self.lane, uid, Purpose::Delete, now));
        let (call, authorization) = TrackedCall::new(self, begun?);
        // There is no await between the check above and the send, so nothing can change in between.
        let answer = connection
            .delete(&self.key().app_id, &authorization, file_id)
            .await;
        call.end(&answer);
        Some(answer)
    }

    /// Uses the permit of `uid` for `purpose` to look the package up, under the same rules as [`Self::delete`]. The
    /// permit is used up, but the object keeps its place in the queue for the ticket of the DELETE that may follow.
    ///
    /// # Errors
    /// Any answer other than the package.
    pub async fn show(
        &self,
        uid: &str,
        purpose: Purpose,
        connection: &Connection,
        file_id: &FileId,
    ) -> Option<Result<CategoryInfo, Answer>> {
        let begun = self.change(|core, now| core.begin(self.lane, uid, purpose, now));
        let (call, authorization) = TrackedCall::new(self, begun?);
        let shown = connection
            .show(&self.key().app_id, &authorization, file_id)
            .await;
        call.end(shown.as_ref().err().unwrap_or(&Answer::Done(200)));
        Some(shown)
    }

    /// Reads one page of the list over `connection` with a spare call, and updates the session from the answer. The
    /// call waits until no object waits for a call, and leaves half of each window free for objects that may come.
    /// Returns `None`, with nothing sent, once this session has no more members or is closed.
    ///
    /// A call whose future is dropped counts until the end of its time-out.
    ///
    /// # Errors
    /// Any answer other than a page.
    pub async fn list(&self, connection: &Connection, page: u32) -> Option<Result<Page, Answer>> {
        let begun = self.spare_call().await;
        let (call, authorization) = TrackedCall::new(self, begun?);
        let listed = connection
            .list(&self.key().app_id, &authorization, page)
            .await;
        call.end(listed.as_ref().err().unwrap_or(&Answer::Done(200)));
        Some(listed)
    }

    /// Waits for a spare call and begins it.
    async fn spare_call(&self) -> Option<(Underway, Authorization)> {
        let _wanted = WantsSpare::new(self);
        loop {
            let mut told = pin!(self.shared.spare.notified());
            told.as_mut().enable();
            match self.change(|core, now| core.begin_spare(self.lane, now)) {
                Poll::Ready(begun) => return begun,
                Poll::Pending => told.await,
            }
        }
    }
}

/// A registered caller that waits for a spare call.
struct WantsSpare<'a>(&'a Session);

impl<'a> WantsSpare<'a> {
    fn new(session: &'a Session) -> Self {
        session.lock().core.want_spare(session.lane);
        Self(session)
    }
}

impl Drop for WantsSpare<'_> {
    fn drop(&mut self) {
        self.0.lock().core.forgo_spare(self.0.lane);
    }
}

/// A call in flight with a token; a call that is dropped before its answer counts as lost.
pub(super) struct TrackedCall<'a> {
    session: &'a Session,
    call: Option<Underway>,
    _tracked: TaskTrackerToken,
}

impl<'a> TrackedCall<'a> {
    pub(super) fn new(
        session: &'a Session,
        (call, authorization): (Underway, Authorization),
    ) -> (Self, Authorization) {
        let call = Self {
            session,
            call: Some(call),
            _tracked: session.shared.calls.token(),
        };
        (call, authorization)
    }

    pub(super) fn end(mut self, answer: &Answer) {
        self.finish(Some(answer));
    }

    fn finish(&mut self, answer: Option<&Answer>) {
        let Some(call) = self.call.take() else {
            return;
        };
        let shared = &self.session.shared;
        // The connections of the other members matter only if the call failed because of TLS settings.
        let by_settings =
            matches!(answer, Some(Answer::Unavailable(_, trouble)) if trouble.needs_person());
        let others_work = by_settings && shared.has_working_connection(call.lane());
        shared.change(|core, now| match answer {
            Some(answer) if others_work => core.settings_failed(&call, answer, now),
            answer => core.ended(&call, answer, now),
        });
    }
}

impl Drop for TrackedCall<'_> {
    fn drop(&mut self) {
        self.finish(None);
    }
}
