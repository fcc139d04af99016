//! The dispatcher, the one task of a session: it takes the actions that are due, and sleeps until the next one.

use std::sync::{Arc, Weak};

use secrecy::SecretString;
use tokio::time::Instant;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::Shared;
use super::core::{LoginOrder, Underway};
use crate::remote::answer::Answer;
use crate::remote::client::{Authorization, Connection};
use crate::remote::reply::Login;

/// Runs the dispatcher of `session` until the session is dropped or closed.
pub(super) async fn run(session: Weak<Shared>) {
    loop {
        let Some(serving) = session.upgrade() else {
            return;
        };
        let (step, login, trial, closed) = {
            let mut inner = serving.lock();
            let mut step = inner.core.step(Instant::now());
            let over = |order: LoginOrder| {
                let connection = inner.members.connection(order.call.lane());
                (order, connection)
            };
            let (login, trial) = (step.login.take().map(over), step.trial.take().map(over));
            (step, login, trial, inner.core.is_closed())
        };
        for key in step.wake {
            if serving.wake.send(key).is_err() {
                return;
            }
        }
        if let Some((order, connection)) = login {
            let (call, secret) = LoginCall::new(&serving, order);
            // No login begins in a lane without members, and each member has a connection. So there always is a
            // connection here.
            if let Some(connection) = connection {
                tokio::spawn(log_in(call, connection, secret));
            }
        }
        if let Some((order, connection)) = trial {
            let (call, token) = TrialCall::new(&serving, order);
            if let Some(connection) = connection {
                tokio::spawn(try_token(call, connection, token));
            }
        }
        if step.learned {
            serving.learned.notify_one();
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
                    biased;
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
    // The last check before the send: the process may have been suspended since the login was ordered.
    if !call.session.lock().core.may_send(Instant::now()) {
        return;
    }
    let result = connection.login(&app_id, &secret).await;
    call.end(result);
}

/// A login in flight; a login that is dropped before its answer counts as lost.
struct LoginCall {
    session: Arc<Shared>,
    call: Option<Underway>,
    _under_way: TaskTrackerToken,
}

impl LoginCall {
    fn new(session: &Arc<Shared>, order: LoginOrder) -> (Self, SecretString) {
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
            let failed = matches!(&result, Some(Err(answer)) if is_tls_failure(answer));
            self.session
                .change(|core, now| core.login_ended(&call, result, now));
            if failed {
                self.session.try_another_connection(call.lane());
            }
        }
    }
}

impl Drop for LoginCall {
    fn drop(&mut self) {
        self.finish(None);
    }
}

async fn try_token(call: TrialCall, connection: Arc<Connection>, token: SecretString) {
    let app_id = call.session.key.app_id.clone();
    // The last check before the send: the process may have been suspended since the call was ordered.
    if !call.session.lock().core.may_send(Instant::now()) {
        return;
    }
    let answer = match connection
        .list_one(&app_id, &Authorization::new(token, None))
        .await
    {
        Ok(_) => Answer::Done(200),
        Err(answer) => answer,
    };
    call.end(&answer);
}

/// A trial in flight: a list of one entry that tests a token. A trial that is dropped before its answer counts as lost.
struct TrialCall {
    session: Arc<Shared>,
    call: Option<Underway>,
    _under_way: TaskTrackerToken,
}

impl TrialCall {
    fn new(session: &Arc<Shared>, order: LoginOrder) -> (Self, SecretString) {
        let call = Self {
            session: Arc::clone(session),
            call: Some(order.call),
            _under_way: session.calls.token(),
        };
        (call, order.secret)
    }

    fn end(mut self, answer: &Answer) {
        self.finish(Some(answer));
    }

    fn finish(&mut self, answer: Option<&Answer>) {
        if let Some(call) = self.call.take() {
            self.session
                .change(|core, now| core.trial_ended(&call, answer, now));
            if answer.is_some_and(is_tls_failure) {
                self.session.try_another_connection(call.lane());
            }
        }
    }
}

impl Drop for TrialCall {
    fn drop(&mut self) {
        self.finish(None);
    }
}

/// Whether the call failed because of the TLS settings of its connection.
fn is_tls_failure(answer: &Answer) -> bool {
    matches!(answer, Answer::Unavailable(_, trouble) if trouble.needs_person())
}
