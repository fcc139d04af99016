//! The platform without sockets: the simulator's world, and a record of who made which call.

use std::collections::BTreeMap;
use std::future::{pending, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use futures::future::BoxFuture;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use tokio::time::{Instant, sleep};
use version_package_operator::api::names::Endpoint;
use version_package_operator::clock::Clock;
use version_package_operator::remote::answer::{BodyFault, Trouble};
use version_package_operator::remote::client::{Connect, Connection};
use version_package_operator::remote::exchange::{Exchange, NoReply, Reply, Request};
use version_package_operator::remote::tls::{TlsError, TlsSettings};
use version_package_operator::remote::wire::APP_KEY;
use version_package_operator::simulator::answer::{HttpAnswer, Refusal, Verdict};
use version_package_operator::simulator::application::{Application, LoginParameters};
use version_package_operator::simulator::packages::preloaded;
use version_package_operator::simulator::quota::Limit;
use version_package_operator::simulator::{faults, ledger, route, settings, world};

use crate::around::Around;
use crate::faults::{Fault, SLOW, To};
use crate::record::{Called, Event};

/// The time limit of a call.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// One call, as the platform saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub by: String,
    pub method: String,
    pub path: String,
    pub verdict: Verdict,
}

/// One platform, reachable at all endpoints. Cheap to clone.
#[derive(Clone)]
pub struct Platform(Arc<Mutex<State>>);

struct State {
    simulator: world::World,
    begun: Instant,
    clock: Clock,
    chance: Rng,
    calls: Vec<Call>,
}

impl Platform {
    /// A platform without applications.
    pub fn new(clock: Clock, chance: Rng) -> Self {
        Self(Arc::new(Mutex::new(State {
            simulator: world::World {
                applications: BTreeMap::new(),
                first: String::new(),
                limit: Limit::default(),
                switches: settings::Switches::default(),
                faults: faults::Faults::default(),
                ledger: ledger::Ledger::default(),
                version: 0,
            },
            begun: Instant::now(),
            clock,
            chance,
            calls: Vec::new(),
        })))
    }

    /// Registers an application with this many packages, from `package-00001` on.
    pub fn register(&self, app_id: &str, secret: &str, packages: u32) {
        self.change(|simulator| {
            let mut application = Application::new(Some(secret.into()), simulator.limit.clone());
            application.packages = preloaded(packages);
            let applications = &mut simulator.applications;
            applications.insert(app_id.to_owned(), application);
        });
    }

    /// Changes the simulator's world.
    pub fn change<T>(&self, change: impl FnOnce(&mut world::World) -> T) -> T {
        change(&mut self.lock().simulator)
    }

    /// Whether the application has the package.
    pub fn has(&self, app_id: &str, file: &str) -> bool {
        let state = self.lock();
        let application = state.simulator.applications.get(app_id);
        application.is_some_and(|application| application.packages.contains_key(file))
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// The verdicts on the deletions of a package.
    pub fn deletions(&self, file: &str) -> Vec<Verdict> {
        let calls = self.calls().into_iter();
        let ending = format!("/{file}");
        let deletions =
            calls.filter(|call| call.method == "DELETE" && call.path.ends_with(&ending));
        deletions.map(|call| call.verdict).collect()
    }

    /// Ends the token of an application, as another client's login does.
    pub fn end_token(&self, app_id: &str) {
        self.change(|simulator| {
            if let Some(application) = simulator.applications.get_mut(app_id) {
                application.expire();
            }
        });
    }

    /// Logs in for an application as another client; returns the token, which ends the earlier one.
    pub fn log_in(&self, app_id: &str, secret: &str) -> String {
        let mut state = self.lock();
        let State {
            simulator,
            begun,
            chance,
            ..
        } = &mut *state;
        let form = format!("appId={app_id}&secret={secret}");
        let given = LoginParameters::from_form(form.as_bytes());
        let application = simulator.applications.get_mut(app_id).unwrap();
        let lifetime = simulator.switches.token_lifetime;
        let answer = application.login(&given, begun.elapsed(), lifetime, chance);
        answer.unwrap()["accessToken"].as_str().unwrap().to_owned()
    }

    /// Uses up the quota of an application, as another client does.
    pub fn use_up(&self, app_id: &str) {
        let mut state = self.lock();
        let now = state.begun.elapsed();
        if let Some(application) = state.simulator.applications.get_mut(app_id) {
            while application.quota.admit(now) {}
        }
    }

    /// Changes the secret of an application.
    pub fn set_secret(&self, app_id: &str, secret: &str) {
        self.change(|simulator| {
            if let Some(application) = simulator.applications.get_mut(app_id) {
                application.secret = Some(secret.into());
            }
        });
    }

    /// The connections of a process to the platform.
    pub fn connect(&self, around: &Around) -> Connect {
        let way = Way {
            platform: self.clone(),
            around: around.clone(),
        };
        Arc::new(
            move |endpoint: &Endpoint, _: &TlsSettings| -> Result<Connection, TlsError> {
                let way = Box::new(way.clone());
                Ok(Connection::over(way, endpoint, CALL_TIMEOUT))
            },
        )
    }

    /// Processes a request that has arrived.
    fn take(
        &self,
        around: &Around,
        request: &route::RoutedRequest,
    ) -> (world::TimedReply, Verdict) {
        let mut state = self.lock();
        let State {
            simulator,
            begun,
            clock,
            chance,
            calls,
        } = &mut *state;
        let now = world::Moment {
            since_start: begun.elapsed(),
            utc: clock.wall(),
        };
        let exchange = simulator.handle(request, now, chance);
        let row = simulator.ledger.since(exchange.seq - 1).next();
        let verdict = row.map_or(Verdict::Fault, |row| row.verdict);
        let application = row.and_then(|row| row.application.clone());
        calls.push(Call {
            by: around.who.clone(),
            method: request.method.clone(),
            path: request.path.clone(),
            verdict,
        });
        around.record.add(Event::Called(Called {
            by: around.who.clone(),
            application,
            method: request.method.clone(),
            path: request.path.clone(),
            verdict,
        }));
        (exchange, verdict)
    }

    /// Refuses a request that has arrived: it counts as a call and has no effect.
    fn refuse(around: &Around, request: &route::RoutedRequest, code: u16) -> HttpAnswer {
        around.record.add(Event::Called(Called {
            by: around.who.clone(),
            application: request.app_key.clone(),
            method: request.method.clone(),
            path: request.path.clone(),
            verdict: Verdict::Fault,
        }));
        match code {
            401 => Refusal(401, "100002", "Invalid access token.").into(),
            403 => Refusal(403, "1010009", "app throttle exceed").into(),
            200 => HttpAnswer::html(200, "Sign in", "A gateway answers in its place."),
            404 => HttpAnswer::html(404, "Not Found", "The requested resource is not here."),
            _ => HttpAnswer::html(code, "Error", "Something is wrong."),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection of one process to the platform.
#[derive(Clone)]
struct Way {
    platform: Platform,
    around: Around,
}

impl Exchange for Way {
    fn exchange(&self, request: Request) -> BoxFuture<'_, Result<Reply, NoReply>> {
        Box::pin(self.send(request))
    }
}

impl Way {
    async fn send(&self, request: Request) -> Result<Reply, NoReply> {
        let (around, platform) = (&self.around, &self.platform);
        around.travel().await;
        let bound = request.bound;
        let request = received(request);
        let asked = format!("{} {}", request.method, request.path);
        let fault = around.meet(To::Platform).await;
        if fault == Some(Fault::Lost) {
            around
                .trace
                .say(&around.who, format_args!("platform {asked} is lost"));
            return Err(broken());
        }
        let (reply, delay, verdict) = if let Some(Fault::Refused(code)) = fault {
            let answer = Platform::refuse(around, &request, code);
            (
                world::WireReply::Answer(answer),
                Duration::ZERO,
                Verdict::Fault,
            )
        } else {
            let (exchange, verdict) = platform.take(around, &request);
            (exchange.reply, exchange.delay, verdict)
        };
        let said = match &reply {
            world::WireReply::Answer(answer) => answer.status.to_string(),
            world::WireReply::Drop => "nothing, and the connection breaks".to_owned(),
            world::WireReply::Hang => "nothing".to_owned(),
        };
        around.trace.say(
            &around.who,
            format_args!("platform {asked} -> {said} ({verdict:?})"),
        );
        around.happened(fault).await;
        sleep(delay).await;
        around.travel().await;
        match fault {
            Some(Fault::Unanswered) => return Err(broken()),
            Some(Fault::Hung) => pending().await,
            Some(Fault::Slow) => sleep(SLOW).await,
            Some(_) | None => {}
        }
        match reply {
            world::WireReply::Answer(answer) => {
                let kind = answer.content_type.as_deref();
                let kind = kind.map(|kind| (CONTENT_TYPE, HeaderValue::from_str(kind).unwrap()));
                let body = answer.body;
                let body = if body.len() > bound {
                    Err(BodyFault::TooLarge)
                } else {
                    Ok(body)
                };
                Ok(Reply {
                    status: answer.status,
                    headers: HeaderMap::from_iter(kind),
                    body: Box::pin(ready(body)),
                })
            }
            world::WireReply::Drop => Err(broken()),
            world::WireReply::Hang => pending().await,
        }
    }
}

fn broken() -> NoReply {
    NoReply {
        trouble: Trouble::ConnectionLost,
        message: "the connection broke".to_owned(),
    }
}

/// The request in the form that the simulator parses.
fn received(request: Request) -> route::RoutedRequest {
    let text = |name: &str| {
        let value = request.headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    let (path, query) = match request.path.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (&*request.path, None),
    };
    let bearer = text(AUTHORIZATION.as_str());
    let bearer = bearer
        .as_deref()
        .and_then(|text| text.strip_prefix("Bearer "));
    let kind = text(CONTENT_TYPE.as_str());
    route::RoutedRequest {
        method: request.method.to_string(),
        path: path.to_owned(),
        query,
        app_key: text(APP_KEY),
        bearer: bearer.map(str::to_owned),
        is_form: kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")),
        body: request.body.unwrap_or_default(),
    }
}
