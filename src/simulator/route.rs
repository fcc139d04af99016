//! Which call a request is.

use crate::remote::wire::{CATEGORY_PATH, LOGIN_PATH};

/// Where a refresh is posted to.
pub const REFRESH_PATH: &str = "/iocm/app/sec/v1.1.0/refreshToken";
/// Where a token is given up.
pub const LOGOUT_PATH: &str = "/iocm/app/sec/v1.1.0/logout";
/// Where the upgrade tasks are.
pub const OPERATIONS_PATH: &str = "/iodm/northbound/v1.5.0/operations";

/// One request, as far as the platform looks at it.
#[derive(Clone, Default)]
pub struct RoutedRequest {
    /// The HTTP method.
    pub method: String,
    /// The path as it was sent, nothing decoded.
    pub path: String,
    /// The query as it was sent.
    pub query: Option<String>,
    /// The header `app_key`.
    pub app_key: Option<String>,
    /// The token of the header `Authorization`.
    pub bearer: Option<String>,
    /// Whether the body is said to be a form.
    pub is_form: bool,
    /// The body.
    pub body: Vec<u8>,
}

/// The calls of the platform; ids are as they stand in the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// Login.
    Login,
    /// Refresh.
    Refresh,
    /// Logout.
    Logout,
    /// One page of packages.
    ListPackages,
    /// One package.
    ShowPackage(&'a str),
    /// The deletion of one package.
    DeletePackage(&'a str),
    /// A new task for firmware.
    UpgradeFirmware,
    /// A new task for software.
    UpgradeSoftware,
    /// One page of tasks.
    ListTasks,
    /// One task.
    ShowTask(&'a str),
    /// One page of a task's devices.
    ListSubtasks(&'a str),
    /// A known path with a method that it doesn't take.
    WrongMethod,
    /// No path of the platform.
    Unknown,
}

impl<'a> Route<'a> {
    /// The call that `method` and `path` name.
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

    /// The package that the path names.
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

    /// Whether it is one of the three calls about tokens.
    pub fn is_about_tokens(self) -> bool {
        matches!(self, Self::Login | Self::Refresh | Self::Logout)
    }
}

/// What follows `base` and its slash; nothing for `base` itself and with a slash at its end.
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
    fn each_call_is_known_by_method_and_path_and_nothing_else_is() {
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
