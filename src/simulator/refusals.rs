//! The refusals of the platform's services.

use super::answer::Refusal;
use crate::remote::wire::code;

/// The `fileId`, the query or the body is malformed.
pub const BAD_REQUEST: Refusal = Refusal(400, "120015", "Bad request error.");
/// The page size is beyond the limit.
pub const PAGING_OUT_OF_RANGE: Refusal =
    Refusal(400, "123029", "pageNo or pageSize beyond the limit.");
/// The package doesn't exist.
pub const PACKAGE_NOT_FOUND: Refusal =
    Refusal(404, code::NOT_FOUND, "Device or package file not found.");
/// The task doesn't exist.
pub const TASK_NOT_FOUND: Refusal = Refusal(404, "123009", "The task does not exist.");
