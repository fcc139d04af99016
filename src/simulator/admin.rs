//! The admin port: ledger, packages, quota, tokens, faults and switches over plain HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::application::Application;
use super::faults::{Fault, Times};
use super::out_of_range::OutOfRange;
use super::packages::{NoFileId, completed};
use super::quota::Limit;
use super::settings::Switches;
use super::shared::Shared;
use super::tasks::Status;
use super::world::World;
use crate::remote::wire::CategoryInfo;

type Simulator = State<Arc<Shared>>;

/// The refusal of a request to the admin port: status and message.
struct Wrong(StatusCode, String);

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

type Answered<T = Json<Value>> = Result<T, Wrong>;

impl From<OutOfRange> for Wrong {
    fn from(error: OutOfRange) -> Self {
        bad(error.to_string())
    }
}

impl From<NoFileId> for Wrong {
    fn from(error: NoFileId) -> Self {
        bad(error.to_string())
    }
}

fn bad(message: impl Into<String>) -> Wrong {
    Wrong(StatusCode::BAD_REQUEST, message.into())
}

fn missing(what: &str, name: &str) -> Wrong {
    Wrong(
        StatusCode::NOT_FOUND,
        format!("there is no {what} {name:?}"),
    )
}

/// The routes of the admin port.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/ledger", get(ledger).delete(clear_ledger))
        .route("/summary", get(summary))
        .route("/packages", get(list_packages).put(add_packages))
        .route("/packages/{id}", get(show_package).delete(delete_package))
        .route("/tasks/{id}", put(set_task))
        .route("/quota", get(show_quota).put(set_quota))
        .route("/switches", get(show_switches).put(set_switches))
        .route("/tokens/expire", post(expire_token))
        .route("/applications/{app_id}", put(set_application))
        .route(
            "/faults",
            get(list_faults).post(add_fault).delete(clear_faults),
        )
        .route("/faults/{id}", axum::routing::delete(remove_fault))
        .route("/neighbour", post(neighbour))
        .with_state(shared)
}

/// The application that a request is about; the first application if the request names none.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Of {
    app_id: Option<String>,
}

fn application<'a>(world: &'a mut World, of: Option<&str>) -> Answered<&'a mut Application> {
    let id = of.unwrap_or(&world.first).to_owned();
    let found = world.applications.get_mut(&id);
    found.ok_or_else(|| missing("application", &id))
}

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    since: u64,
}

async fn ledger(State(shared): Simulator, Query(after): Query<Since>) -> Response {
    let rows: Vec<_> = shared.world().ledger.since(after.since).cloned().collect();
    let mut lines = String::new();
    for row in rows {
        if let Ok(line) = serde_json::to_string(&row) {
            lines.push_str(&line);
            lines.push('\n');
        }
    }
    ([(CONTENT_TYPE, "application/x-ndjson")], lines).into_response()
}

async fn clear_ledger(State(shared): Simulator) -> StatusCode {
    let mut world = shared.world();
    world.ledger.clear();
    for application in world.applications.values_mut() {
        application.quota.clear_peak();
    }
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Within {
    window: Option<String>,
}

async fn summary(State(shared): Simulator, Query(within): Query<Within>) -> Answered {
    let window = within.window.as_deref().map(duration).transpose()?;
    let world = shared.world();
    let now = shared.now().since_start;
    let applications: BTreeMap<_, _> = world
        .applications
        .iter()
        .map(|(id, application)| {
            let limit = application.quota.limit();
            let window = window.unwrap_or(limit.window);
            let most = world.ledger.most_in_window(id, window, limit.kind);
            let about = json!({
                "packages": application.packages.len(),
                "frozen": application.frozen,
                "maxCallsInWindow": most,
                "quota": {"limit": limit, "used": application.quota.used(now), "peak": application.quota.peak()},
            });
            (id, about)
        })
        .collect();
    let verdicts = world.ledger.verdicts();
    Ok(Json(json!({
        "calls": verdicts.values().sum::<u64>(),
        "forgotten": world.ledger.forgotten(),
        "verdicts": verdicts,
        "distinctPackagesDeleted": world.ledger.deleted(),
        "applications": applications,
    })))
}

/// Parses a duration such as `6s` or `500ms`.
fn duration(text: &str) -> Answered<Duration> {
    let read = text.parse::<jiff::SignedDuration>().ok();
    let read = read
        .and_then(|read| Duration::try_from(read).ok())
        .filter(|read| !read.is_zero());
    read.ok_or_else(|| {
        bad(format!(
            "window {text:?} must be a time such as 6s or 500ms"
        ))
    })
}

async fn list_packages(State(shared): Simulator, Query(of): Query<Of>) -> Answered {
    let mut world = shared.world();
    let packages = &application(&mut world, of.app_id.as_deref())?.packages;
    Ok(Json(json!(packages.keys().collect::<Vec<_>>())))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Additions {
    app_id: Option<String>,
    packages: Vec<CategoryInfo>,
}

async fn add_packages(State(shared): Simulator, body: String) -> Answered {
    let given: Additions = read(&body)?;
    let packages = (1..)
        .zip(given.packages)
        .map(|(number, package)| completed(package, number))
        .collect::<Result<Vec<_>, _>>()?;
    let mut world = shared.world();
    let application = application(&mut world, given.app_id.as_deref())?;
    application.packages.extend(packages);
    let count = application.packages.len();
    world.version += 1;
    shared.changed.notify_one();
    Ok(Json(json!({"packages": count})))
}

async fn show_package(
    State(shared): Simulator,
    Path(id): Path<String>,
    Query(of): Query<Of>,
) -> Answered {
    let mut world = shared.world();
    let found = application(&mut world, of.app_id.as_deref())?
        .packages
        .get(&id);
    Ok(Json(json!(found.ok_or_else(|| missing("package", &id))?)))
}

async fn delete_package(
    State(shared): Simulator,
    Path(id): Path<String>,
    Query(of): Query<Of>,
) -> Answered<StatusCode> {
    let mut world = shared.world();
    let gone = application(&mut world, of.app_id.as_deref())?
        .packages
        .remove(&id);
    gone.ok_or_else(|| missing("package", &id))?;
    world.version += 1;
    shared.changed.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TaskChange {
    app_id: Option<String>,
    status: Status,
}

async fn set_task(
    State(shared): Simulator,
    Path(id): Path<String>,
    body: String,
) -> Answered<StatusCode> {
    let given: TaskChange = read(&body)?;
    let mut world = shared.world();
    let tasks = &mut application(&mut world, given.app_id.as_deref())?.tasks;
    let task = tasks.get_mut(&id).ok_or_else(|| missing("task", &id))?;
    task.set(given.status, shared.now().utc);
    Ok(StatusCode::NO_CONTENT)
}

async fn show_quota(State(shared): Simulator, Query(of): Query<Of>) -> Answered {
    let mut world = shared.world();
    let quota = &application(&mut world, of.app_id.as_deref())?.quota;
    Ok(Json(json!(quota.limit())))
}

async fn set_quota(State(shared): Simulator, Query(of): Query<Of>, body: String) -> Answered {
    let mut world = shared.world();
    let now = shared.now().since_start;
    let present = match &of.app_id {
        Some(id) => application(&mut world, Some(id))?.quota.limit(),
        None => &world.limit,
    };
    let limit: Limit = changed(present, &body)?;
    limit.check()?;
    if of.app_id.is_none() {
        world.limit = limit.clone();
    }
    for (id, application) in &mut world.applications {
        if of.app_id.as_ref().is_none_or(|meant| meant == id) {
            application.quota.change(limit.clone(), now);
        }
    }
    Ok(Json(json!(limit)))
}

async fn show_switches(State(shared): Simulator) -> Json<Value> {
    Json(json!(shared.world().switches))
}

async fn set_switches(State(shared): Simulator, body: String) -> Answered {
    let mut world = shared.world();
    let switches: Switches = changed(&world.switches, &body)?;
    switches.check()?;
    world.switches = switches;
    Ok(Json(json!(world.switches)))
}

async fn expire_token(State(shared): Simulator, body: String) -> Answered<StatusCode> {
    let of: Of = read(&body)?;
    let mut world = shared.world();
    application(&mut world, of.app_id.as_deref())?.expire();
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplicationChange {
    secret: Option<SecretString>,
    frozen: Option<bool>,
}

async fn set_application(
    State(shared): Simulator,
    Path(app_id): Path<String>,
    body: String,
) -> Answered<StatusCode> {
    let given: ApplicationChange = read(&body)?;
    let mut world = shared.world();
    let limit = world.limit.clone();
    let entry = world.applications.entry(app_id);
    let application = entry.or_insert_with(|| Application::new(None, limit));
    if given.secret.is_some() {
        application.secret = given.secret;
    }
    application.frozen = given.frozen.unwrap_or(application.frozen);
    Ok(StatusCode::NO_CONTENT)
}

async fn list_faults(State(shared): Simulator) -> Json<Value> {
    Json(json!(shared.world().faults.list()))
}

async fn add_fault(State(shared): Simulator, body: String) -> Answered<(StatusCode, Json<Value>)> {
    let fault: Fault = read(&body)?;
    fault.kind.check()?;
    if fault.times == Times::Left(0) {
        return Err(bad("times must be at least 1, or \"forever\""));
    }
    let fault = shared.world().faults.add(fault);
    Ok((StatusCode::CREATED, Json(json!(fault))))
}

async fn clear_faults(State(shared): Simulator) -> StatusCode {
    shared.world().faults.clear();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(shared): Simulator, Path(id): Path<u64>) -> Answered<StatusCode> {
    if shared.world().faults.remove(id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(missing("fault", &id.to_string()))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Neighbour {
    app_id: Option<String>,
    calls: u32,
}

async fn neighbour(State(shared): Simulator, body: String) -> Answered {
    let given: Neighbour = read(&body)?;
    let mut world = shared.world();
    let now = shared.now().since_start;
    let quota = &mut application(&mut world, given.app_id.as_deref())?.quota;
    let allowed = (0..given.calls).filter(|_| quota.admit(now)).count();
    Ok(Json(json!({"allowed": allowed, "used": quota.used(now)})))
}

fn read<T: DeserializeOwned>(body: &str) -> Answered<T> {
    serde_json::from_str(body).map_err(|error| bad(error.to_string()))
}

/// `present` with the fields of `body` replaced.
fn changed<T: Serialize + DeserializeOwned>(present: &T, body: &str) -> Answered<T> {
    let changes: serde_json::Map<String, Value> = read(body)?;
    let mut whole = json!(present);
    for (name, value) in changes {
        whole[name] = value;
    }
    serde_json::from_value(whole).map_err(|error| bad(error.to_string()))
}
