//! What the services of the platform refuse with.

use super::answer::Refusal;
use crate::remote::wire::code;

/// A malformed `fileId`, query or body.
pub const BAD_REQUEST: Refusal = Refusal(400, "120015", "Bad request error.");
/// A page size beyond the limit.
pub const PAGING_OUT_OF_RANGE: Refusal =
    Refusal(400, "123029", "pageNo or pageSize beyond the limit.");
/// No such package.
pub const PACKAGE_NOT_FOUND: Refusal =
    Refusal(404, code::NOT_FOUND, "Device or package file not found.");
/// No such task.
pub const TASK_NOT_FOUND: Refusal = Refusal(404, "123009", "The task does not exist.");
