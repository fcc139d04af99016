//! The services behind the gateway: packages and tasks. They answer in shape A.

use serde_json::json;

use super::answer::{HttpAnswer, Refusal, Verdict};
use super::application::Application;
use super::packages::{self, Paging, Query, is_file_id};
use super::refusals::{BAD_REQUEST, PACKAGE_NOT_FOUND, TASK_NOT_FOUND};
use super::route::{Route, RoutedRequest};
use super::settings::Switches;
use super::tasks::{self, Operation};

/// Answers a call that the gateway admitted.
pub fn answer(
    application: &mut Application,
    route: Route<'_>,
    request: &RoutedRequest,
    switches: &Switches,
    utc: jiff::Timestamp,
) -> (HttpAnswer, Verdict) {
    if let Err(frozen) = application.check_frozen() {
        return (frozen.into(), Verdict::Frozen);
    }
    serve(application, route, request, switches, utc).unwrap_or_else(|refusal| {
        let verdict = if refusal.0 == 404 {
            Verdict::NotFound
        } else {
            Verdict::BadRequest
        };
        (refusal.into(), verdict)
    })
}

fn serve(
    application: &mut Application,
    route: Route<'_>,
    request: &RoutedRequest,
    switches: &Switches,
    utc: jiff::Timestamp,
) -> Result<(HttpAnswer, Verdict), Refusal> {
    let query = Query::parse(request.query.as_deref());
    let served = match route {
        Route::ListPackages => {
            let paging = Paging::of(&query)?;
            let found = packages::matching(&application.packages, &query, switches.filters);
            (HttpAnswer::ok(&paging.page(&found)), Verdict::Listed)
        }
        Route::ShowPackage(id) => {
            let package = application.packages.get(checked(id)?);
            let package = package.ok_or(PACKAGE_NOT_FOUND)?;
            (HttpAnswer::ok(&json!(package)), Verdict::Shown)
        }
        Route::DeletePackage(id) => {
            let gone = application.packages.remove(checked(id)?);
            gone.ok_or(PACKAGE_NOT_FOUND)?;
            let answer = if switches.delete_status == 204 {
                HttpAnswer::no_content()
            } else {
                HttpAnswer::empty_ok()
            };
            (answer, Verdict::Deleted)
        }
        Route::UpgradeFirmware => create(application, Operation::Firmware, request, utc)?,
        Route::UpgradeSoftware => create(application, Operation::Software, request, utc)?,
        Route::ListTasks => {
            let paging = Paging::of(&query)?;
            let found = application.tasks.matching(&query, switches.failed_word);
            (HttpAnswer::ok(&paging.page(&found)), Verdict::Listed)
        }
        Route::ShowTask(id) => {
            let task = application.tasks.get(id).ok_or(TASK_NOT_FOUND)?;
            (
                HttpAnswer::ok(&task.shown(id, switches.failed_word)),
                Verdict::Shown,
            )
        }
        Route::ListSubtasks(id) => {
            let paging = Paging::of(&query)?;
            let task = application.tasks.get(id).ok_or(TASK_NOT_FOUND)?;
            (
                HttpAnswer::ok(&paging.page(&task.subtasks(id, &query))),
                Verdict::Listed,
            )
        }
        Route::Login | Route::Refresh | Route::Logout | Route::WrongMethod | Route::Unknown => {
            unknown_path(route)
        }
    };
    Ok(served)
}

/// The proxy's answer to a path that belongs to no service.
pub fn unknown_path(route: Route<'_>) -> (HttpAnswer, Verdict) {
    let answer = if route == Route::WrongMethod {
        HttpAnswer::html(405, "Method Not Allowed", "The method is not allowed here.")
    } else {
        HttpAnswer::html(404, "Not Found", "The requested resource is not here.")
    };
    (answer, Verdict::UnknownPath)
}

fn create(
    application: &mut Application,
    operation: Operation,
    request: &RoutedRequest,
    utc: jiff::Timestamp,
) -> Result<(HttpAnswer, Verdict), Refusal> {
    let task = tasks::Task::new(operation, &request.body, &application.packages, utc)?;
    let id = application.tasks.add(task);
    Ok((
        HttpAnswer::ok(&json!({"operationId": id})),
        Verdict::TaskCreated,
    ))
}

/// Checks an id, without decoding: an escaped id is invalid.
fn checked(id: &str) -> Result<&str, Refusal> {
    if is_file_id(id) {
        Ok(id)
    } else {
        Err(BAD_REQUEST)
    }
}
