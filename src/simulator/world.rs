//! The state of the platform, and the path of a call through it. Pure: time and chance are arguments.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::answer::{HttpAnswer, Refusal, Verdict};
use super::application::{self, Application, LoginParameters};
use super::faults::{FaultKind, Faults, Place};
use super::gateway;
use super::ledger::{Ledger, Row};
use super::quota::Limit;
use super::route::{Route, RoutedRequest};
use super::service;
use super::settings::Switches;

/// The time of a call on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The time since the start of the simulator; it never runs backwards.
    pub since_start: Duration,
    /// The time on the wall clock.
    pub utc: Timestamp,
}

/// The state of the platform.
pub struct World {
    /// The applications by `appId`.
    pub applications: BTreeMap<String, Application>,
    /// The default application of requests to the admin port.
    pub first: String,
    /// The quota of applications that are added later.
    pub limit: Limit,
    /// The switches.
    pub switches: Switches,
    /// The faults.
    pub faults: Faults,
    /// The ledger.
    pub ledger: Ledger,
    /// The version of the packages; it grows with each change.
    pub version: u64,
}

/// The reply to a call, and its delay.
#[derive(Debug)]
pub struct TimedReply {
    /// The number of the call in the ledger.
    pub seq: u64,
    /// The reply.
    pub reply: WireReply,
    /// How long the reply is delayed.
    pub delay: Duration,
}

/// The reply to a call.
#[derive(Debug, PartialEq, Eq)]
pub enum WireReply {
    /// An answer.
    Answer(HttpAnswer),
    /// No answer; the connection is closed.
    Drop,
    /// No answer; the connection stays open.
    Hang,
}

/// A processed call and its result.
struct Served {
    reply: WireReply,
    verdict: Verdict,
    fault: Option<FaultKind>,
    metered: bool,
}

impl Served {
    fn by((answer, verdict): (HttpAnswer, Verdict), metered: bool) -> Self {
        Self {
            reply: WireReply::Answer(answer),
            verdict,
            fault: None,
            metered,
        }
    }

    fn by_fault(kind: FaultKind, route: Route<'_>, metered: bool) -> Self {
        let reply = match (kind.answer(route), kind == FaultKind::Hang) {
            (Some(answer), _) => WireReply::Answer(answer),
            (None, true) => WireReply::Hang,
            (None, false) => WireReply::Drop,
        };
        Self {
            reply,
            verdict: Verdict::Fault,
            fault: Some(kind),
            metered,
        }
    }
}

impl World {
    /// Processes one call from its arrival to its reply.
    pub fn handle(
        &mut self,
        request: &RoutedRequest,
        now: Moment,
        chance: &mut fastrand::Rng,
    ) -> TimedReply {
        let route = Route::of(&request.method, &request.path);
        let credentials = credentials(route, request);
        let application = self.caller(request, credentials.as_ref());
        let name = application.as_deref();

        let mut served = if let Some(kind) = self.faults.take(Place::Proxy, request, route, name) {
            Served::by_fault(kind, route, false)
        } else {
            self.serve(request, route, credentials, name, now, chance)
        };

        let mut delay = self.switches.answer_delay;
        // Only an answer of a service can be dropped or delayed.
        let reached = !matches!(
            served.verdict,
            Verdict::Fault | Verdict::Throttled | Verdict::TokenRefused
        );
        if reached && let Some(kind) = self.faults.take(Place::Answer, request, route, name) {
            if let FaultKind::Delay { ms } = kind {
                delay += Duration::from_millis(ms);
            } else {
                served.reply = kind
                    .answer(route)
                    .map_or(WireReply::Drop, WireReply::Answer);
            }
            served.fault = Some(kind);
        }
        if served.verdict == Verdict::Deleted {
            self.version += 1;
        }

        let answer = match &served.reply {
            WireReply::Answer(answer) => Some(answer),
            WireReply::Drop | WireReply::Hang => None,
        };
        let seq = self.ledger.add(Row {
            seq: 0,
            time: now.utc,
            at: now.since_start,
            done: None,
            status: answer.map(|answer| answer.status),
            code: answer.and_then(|answer| answer.code.clone()),
            application,
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            verdict: served.verdict,
            fault: served.fault.as_ref().map(FaultKind::name),
            metered: served.metered,
        });
        TimedReply {
            seq,
            reply: served.reply,
            delay,
        }
    }

    /// The application id that a call names, registered or not.
    fn caller(
        &self,
        request: &RoutedRequest,
        credentials: Option<&Result<LoginParameters, Refusal>>,
    ) -> Option<String> {
        match credentials {
            None => request.app_key.clone(),
            Some(Err(_)) => None,
            Some(Ok(given)) if !given.app_id.is_empty() => Some(given.app_id.clone()),
            // A logout names only its token and needs no header.
            Some(Ok(given)) => self
                .applications
                .iter()
                .find(|(_, application)| application.knows(given.access_token(), Duration::ZERO))
                .map(|(id, _)| id.clone()),
        }
    }

    /// Passes a call through the gateway and its service.
    fn serve(
        &mut self,
        request: &RoutedRequest,
        route: Route<'_>,
        credentials: Option<Result<LoginParameters, Refusal>>,
        name: Option<&str>,
        now: Moment,
        chance: &mut fastrand::Rng,
    ) -> Served {
        if matches!(route, Route::Unknown | Route::WrongMethod) {
            return Served::by(service::unknown_path(route), false);
        }
        let live = |application: &Application| {
            let token = request.bearer.as_deref();
            token.is_some_and(|token| application.knows(token, now.since_start))
        };
        let any_token = self.switches.token_of_any_app && self.applications.values().any(live);
        let mut nobody = Application::new(None, self.limit.clone());
        let mut known = name.and_then(|id| self.applications.get_mut(id));
        if any_token && known.is_none() && credentials.is_none() {
            known = Some(&mut nobody);
        }
        let metered = known.is_some() && (self.switches.count_logins || !route.is_about_tokens());
        if metered
            && let Some(application) = known.as_deref_mut()
            && let Err(throttled) = gateway::count(application, &self.switches, now.since_start)
        {
            return Served::by(throttled, true);
        }
        if credentials.is_none() && !any_token {
            let checked = known.as_deref().map_or_else(
                || Err(gateway::token_refused()),
                |known| gateway::check_token(known, request.bearer.as_deref(), now.since_start),
            );
            if let Err(refused) = checked {
                return Served::by(refused, metered);
            }
        }
        if let Some(kind) = self.faults.take(Place::Service, request, route, name) {
            return Served::by_fault(kind, route, metered);
        }
        let served = match (credentials, known) {
            (Some(given), known) => {
                tokens(route, given, known, &self.switches, now.since_start, chance)
            }
            (None, Some(known)) => service::answer(known, route, request, &self.switches, now.utc),
            (None, None) => gateway::token_refused(),
        };
        Served::by(served, metered)
    }
}

/// The credentials in a call about tokens; `None` for any other call.
fn credentials(
    route: Route<'_>,
    request: &RoutedRequest,
) -> Option<Result<LoginParameters, Refusal>> {
    match route {
        Route::Login => {
            // A login is a form; with any other content type the platform finds no parameter.
            let form = if request.is_form {
                request.body.as_slice()
            } else {
                b""
            };
            Some(Ok(LoginParameters::from_form(form)))
        }
        Route::Refresh | Route::Logout => Some(LoginParameters::from_json(&request.body)),
        Route::ListPackages
        | Route::ShowPackage(_)
        | Route::DeletePackage(_)
        | Route::UpgradeFirmware
        | Route::UpgradeSoftware
        | Route::ListTasks
        | Route::ShowTask(_)
        | Route::ListSubtasks(_)
        | Route::WrongMethod
        | Route::Unknown => None,
    }
}

/// The service for logins, refreshes and logouts.
fn tokens(
    route: Route<'_>,
    given: Result<LoginParameters, Refusal>,
    known: Option<&mut Application>,
    switches: &Switches,
    now: Duration,
    chance: &mut fastrand::Rng,
) -> (HttpAnswer, Verdict) {
    let lifetime = switches.token_lifetime;
    let served = given.and_then(|given| match route {
        Route::Login => {
            given.check_login()?;
            let application = known.ok_or_else(application::unknown)?;
            let tokens = application.login(&given, now, lifetime, chance)?;
            Ok((HttpAnswer::ok(&tokens), Verdict::LoggedIn))
        }
        Route::Refresh => {
            given.check_refresh()?;
            let application = known.ok_or_else(application::unknown)?;
            let tokens = application.refresh(&given, now, lifetime, chance)?;
            Ok((HttpAnswer::ok(&tokens), Verdict::Refreshed))
        }
        Route::Logout => {
            given.check_logout()?;
            match known.filter(|known| known.knows(given.access_token(), now)) {
                Some(application) => {
                    application.logout();
                    Ok((HttpAnswer::no_content(), Verdict::LoggedOut))
                }
                None => Ok(gateway::token_refused()),
            }
        }
        Route::ListPackages
        | Route::ShowPackage(_)
        | Route::DeletePackage(_)
        | Route::UpgradeFirmware
        | Route::UpgradeSoftware
        | Route::ListTasks
        | Route::ShowTask(_)
        | Route::ListSubtasks(_)
        | Route::WrongMethod
        | Route::Unknown => Ok(service::unknown_path(route)),
    });
    served.unwrap_or_else(|refusal| {
        let verdict = match refusal {
            Refusal(401, ..) => Verdict::CredentialsRefused,
            Refusal(_, "100247", _) => Verdict::Frozen,
            Refusal(..) => Verdict::BadRequest,
        };
        (refusal.into(), verdict)
    })
}
