//! Maps a request to a call of the platform.

use crate::remote::wire::{CATEGORY_PATH, LOGIN_PATH};

/// The path of a refresh.
pub const REFRESH_PATH: &str = "/iocm/app/sec/v1.1.0/refreshToken";
/// The path of a logout.
pub const LOGOUT_PATH: &str = "/iocm/app/sec/v1.1.0/logout";
/// The path of the upgrade tasks.
pub const OPERATIONS_PATH: &str = "/iodm/northbound/v1.5.0/operations";

/// The parts of a request that the platform reads.
#[derive(Clone, Default)]
pub struct RoutedRequest {
    /// The HTTP method.
    pub method: String,
    /// The path as it was sent, not decoded.
    pub path: String,
    /// The query as it was sent.
    pub query: Option<String>,
    /// The header `app_key`.
    pub app_key: Option<String>,
    /// The token of the header `Authorization`.
    pub bearer: Option<String>,
    /// Whether the content type of the body is a form.
    pub is_form: bool,
    /// The body.
    pub body: Vec<u8>,
}

/// The calls of the platform, with ids as they stand in the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// A login.
    Login,
    /// A refresh.
    Refresh,
    /// A logout.
    Logout,
    /// One page of the packages.
    ListPackages,
    /// The look-up of one package.
    ShowPackage(&'a str),
    /// The deletion of one package.
    DeletePackage(&'a str),
    /// A new firmware task.
    UpgradeFirmware,
    /// A new software task.
    UpgradeSoftware,
    /// One page of the tasks.
    ListTasks,
    /// The look-up of one task.
    ShowTask(&'a str),
    /// One page of the devices of a task.
    ListSubtasks(&'a str),
    /// A known path with an unsupported method.
    WrongMethod,
    /// An unknown path.
    Unknown,
}

impl<'a> Route<'a> {
    /// The call for `method` and `path`.
    pub fn of(method: &str, path: &'a str) -> Self {
        let (found, wanted) = match path {
            LOGIN_PATH => (Self::Login, "POST"),
            REFRESH_PATH => (Self::Refresh, "POST"),
            LOGOUT_PATH => (Self::Logout, "POST"),
            _ => {
                if let Some(rest) = below(path, CATEGORY_PATH) {
                    return Self::package(method, rest);
                } else if let Some(rest) = below(path, OPERATIONS_PATH) {
                    Self::task(rest)
                } else {
                    (Self::Unknown, method)
                }
            }
        };
        if method == wanted {
            found
        } else {
            Self::WrongMethod
        }
    }

    fn package(method: &str, rest: &'a str) -> Self {
        match (method, rest) {
            ("GET", "") => Self::ListPackages,
            ("GET", id) if !id.contains('/') => Self::ShowPackage(id),
            ("DELETE", id) if !id.is_empty() && !id.contains('/') => Self::DeletePackage(id),
            (_, id) if !id.contains('/') => Self::WrongMethod,
            _ => Self::Unknown,
        }
    }

    fn task(rest: &'a str) -> (Self, &'static str) {
        match rest.split_once('/') {
            None if rest.is_empty() => (Self::ListTasks, "GET"),
            None if rest == "firmwareUpgrade" => (Self::UpgradeFirmware, "POST"),
            None if rest == "softwareUpgrade" => (Self::UpgradeSoftware, "POST"),
            None => (Self::ShowTask(rest), "GET"),
            Some((id, "subOperations")) => (Self::ListSubtasks(id), "GET"),
            Some(_) => (Self::Unknown, "GET"),
        }
    }

    /// The id of the package in the path.
    pub fn file_id(self) -> Option<&'a str> {
        match self {
            Self::ShowPackage(id) | Self::DeletePackage(id) => Some(id),
            Self::Login
            | Self::Refresh
            | Self::Logout
            | Self::ListPackages
            | Self::UpgradeFirmware
            | Self::UpgradeSoftware
            | Self::ListTasks
            | Self::ShowTask(_)
            | Self::ListSubtasks(_)
            | Self::WrongMethod
            | Self::Unknown => None,
        }
    }

    /// Whether the call is a login, a refresh or a logout.
    pub fn is_about_tokens(self) -> bool {
        matches!(self, Self::Login | Self::Refresh | Self::Logout)
    }
}

/// The part of `path` after `base` and a slash; empty for `base` itself, `None` for other paths.
fn below<'a>(path: &'a str, base: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(base)?;
    if rest.is_empty() {
        Some(rest)
    } else {
        rest.strip_prefix('/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_is_recognised_by_method_and_path() {
        let cases = [
            ("POST", LOGIN_PATH, "", Route::Login),
            ("GET", LOGIN_PATH, "", Route::WrongMethod),
            ("POST", REFRESH_PATH, "", Route::Refresh),
            ("POST", LOGOUT_PATH, "", Route::Logout),
            ("GET", CATEGORY_PATH, "", Route::ListPackages),
            ("GET", CATEGORY_PATH, "/", Route::ListPackages),
            ("DELETE", CATEGORY_PATH, "/", Route::WrongMethod),
            (
                "DELETE",
                CATEGORY_PATH,
                "/a%20b",
                Route::DeletePackage("a%20b"),
            ),
            ("GET", CATEGORY_PATH, "/a", Route::ShowPackage("a")),
            ("GET", CATEGORY_PATH, "/a/b", Route::Unknown),
            ("GET", CATEGORY_PATH, "x", Route::Unknown),
            ("PUT", CATEGORY_PATH, "/a", Route::WrongMethod),
            (
                "POST",
                OPERATIONS_PATH,
                "/firmwareUpgrade",
                Route::UpgradeFirmware,
            ),
            (
                "POST",
                OPERATIONS_PATH,
                "/softwareUpgrade",
                Route::UpgradeSoftware,
            ),
            ("GET", OPERATIONS_PATH, "", Route::ListTasks),
            ("GET", OPERATIONS_PATH, "/t", Route::ShowTask("t")),
            (
                "GET",
                OPERATIONS_PATH,
                "/t/subOperations",
                Route::ListSubtasks("t"),
            ),
            ("GET", "/", "", Route::Unknown),
        ];
        for (method, base, rest, wanted) in cases {
            let path = format!("{base}{rest}");
            assert_eq!(Route::of(method, &path), wanted, "{method} {path}");
        }
    }
}
