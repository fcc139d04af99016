//! The one task of a session: it does what the rules say is due, and sleeps until more is.

use std::sync::{Arc, Weak};

use secrecy::SecretString;
use tokio::time::Instant;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::Session;
use super::core::{LoginOrder, Underway};
use crate::remote::answer::Answer;
use crate::remote::client::{Connection, Login};

/// Serves `session` until it's dropped or closed.
pub(super) async fn run(session: Weak<Session>) {
    loop {
        let Some(serving) = session.upgrade() else {
            return;
        };
        let (step, connection, closed) = {
            let mut inner = serving.lock();
            let step = inner.core.step(Instant::now());
            (step, inner.members.connection(), inner.core.is_closed())
        };
        for key in step.wake {
            if serving.wake.send(key).is_err() {
                return;
            }
        }
        if let Some(order) = step.login {
            let (call, secret) = LoginCall::new(&serving, order);
            // Without a member nothing is begun, so there is a connection; the guard covers the rest.
            if let Some(connection) = connection {
                tokio::spawn(log_in(call, connection, secret));
            }
        }
        if step.spare {
            serving.spare.notify_waiters();
        }
        if step.wants_record {
            serving.scarce.notify_one();
        }
        if closed {
            return;
        }
        let changed = Arc::clone(&serving.changed);
        drop(serving);
        match step.next {
            Some(next) => {
                tokio::select! {
                    () = changed.notified() => {}
                    () = tokio::time::sleep_until(next) => {}
                }
            }
            None => changed.notified().await,
        }
    }
}

async fn log_in(call: LoginCall, connection: Arc<Connection>, secret: SecretString) {
    let app_id = call.session.key.app_id.clone();
    // The last look: a process may have stood still since the login was ordered.
    if !call.session.lock().core.may_send(Instant::now()) {
        return;
    }
    let result = connection.login(&app_id, &secret).await;
    call.end(result);
}

/// A login under way; one that is dropped before its answer counts as lost.
struct LoginCall {
    session: Arc<Session>,
    call: Option<Underway>,
    _under_way: TaskTrackerToken,
}

impl LoginCall {
    fn new(session: &Arc<Session>, order: LoginOrder) -> (Self, SecretString) {
        let call = Self {
            session: Arc::clone(session),
            call: Some(order.call),
            _under_way: session.calls.token(),
        };
        (call, order.secret)
    }

    fn end(mut self, result: Result<Login, Answer>) {
        self.finish(Some(result));
    }

    fn finish(&mut self, result: Option<Result<Login, Answer>>) {
        if let Some(call) = self.call.take() {
            self.session
                .change(|core, now| core.login_ended(&call, result, now));
        }
    }
}

impl Drop for LoginCall {
    fn drop(&mut self) {
        self.finish(None);
    }
}
