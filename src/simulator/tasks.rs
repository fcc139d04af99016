//! Upgrade tasks, as far as they show whether a package may be in use.
//!
//! No devices are simulated: a task keeps its status until the admin port changes it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Refusal;
use super::packages::{Packages, Query, TIME};
use super::refusals::{BAD_REQUEST, PACKAGE_NOT_FOUND};
use super::settings::FailedWord;

/// The kind of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A firmware upgrade.
    Firmware,
    /// A software upgrade.
    Software,
}

impl Operation {
    fn word(self) -> &'static str {
        match self {
            Self::Firmware => "firmware_upgrade",
            Self::Software => "software_upgrade",
        }
    }

    fn file_type(self) -> &'static str {
        match self {
            Self::Firmware => "firmwarePackage",
            Self::Software => "softwarePackage",
        }
    }
}

/// The status of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not started.
    Wait,
    /// In progress.
    Processing,
    /// Ended without success.
    Failed,
    /// Ended with success.
    Success,
    /// Stopped.
    Stop,
}

impl Status {
    /// The word for the status in a task. The switch `failedWord` sets the word for a failed task, because the
    /// documentation has two words for it.
    fn in_task(self, failed: FailedWord) -> &'static str {
        match (self, failed) {
            (Self::Failed, FailedWord::Failed) => "failed",
            (Self::Failed, FailedWord::Fail) => "FAIL",
            (Self::Wait | Self::Processing | Self::Success | Self::Stop, _) => self.in_subtask(),
        }
    }

    /// The word for the status in a subtask; a failed subtask is always `fail`.
    fn in_subtask(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Processing => "processing",
            Self::Failed => "fail",
            Self::Success => "success",
            Self::Stop => "stop",
        }
    }

    fn is_over(self) -> bool {
        matches!(self, Self::Failed | Self::Success | Self::Stop)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Targets {
    devices: Option<Vec<String>>,
    device_groups: Option<Vec<String>>,
    device_type: Option<String>,
    model: Option<String>,
    manufacturer_name: Option<String>,
}

impl Targets {
    fn check(&self) -> Result<(), Refusal> {
        let count = |list: &Option<Vec<String>>| list.as_ref().map_or(0, Vec::len);
        let (devices, groups) = (count(&self.devices), count(&self.device_groups));
        if devices == 0 && groups == 0 {
            return Err(Refusal(
                400,
                "123022",
                "Neither deviceGroups nor devices are given.",
            ));
        }
        if devices > 0 && groups > 0 {
            return Err(Refusal(
                400,
                "123023",
                "deviceGroups and devices are both given.",
            ));
        }
        if devices > 256 || groups > 256 {
            return Err(Refusal(400, "123024", "Too many deviceGroups or devices."));
        }
        let missing =
            |field: &Option<String>| groups > 0 && field.as_deref().unwrap_or("").is_empty();
        if missing(&self.manufacturer_name) {
            return Err(Refusal(400, "123019", "The manufacturerName is null."));
        }
        if missing(&self.device_type) {
            return Err(Refusal(400, "123020", "The deviceType is null."));
        }
        if missing(&self.model) {
            return Err(Refusal(400, "123021", "The model is null."));
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Policy {
    execute_type: Option<String>,
    start_time: Option<String>,
    end_time: Option<String>,
    retry_type: bool,
    retry_times: Option<i64>,
}

impl Policy {
    fn check(&self, utc: Timestamp) -> Result<(), Refusal> {
        let execute_type = self.execute_type.as_deref().unwrap_or("now");
        if !["now", "device_online", "custom"].contains(&execute_type) {
            return Err(Refusal(400, "123025", "The executeType is invalid."));
        }
        if self.retry_type
            && !self
                .retry_times
                .is_some_and(|times| (1..=5).contains(&times))
        {
            return Err(Refusal(
                400,
                "123028",
                "The retryTimes must be from 1 to 5.",
            ));
        }
        if execute_type == "custom" {
            let (Some(start), Some(end)) = (
                read(self.start_time.as_deref()),
                read(self.end_time.as_deref()),
            ) else {
                return Err(Refusal(
                    400,
                    "123026",
                    "The startTime or endTime is invalid.",
                ));
            };
            if start > end {
                return Err(Refusal(
                    400,
                    "123032",
                    "The startTime is after the endTime.",
                ));
            }
            if start < utc {
                return Err(Refusal(400, "123033", "The startTime is in the past."));
            }
            if end.duration_since(start) < SignedDuration::from_mins(5) {
                return Err(Refusal(
                    400,
                    "123034",
                    "The endTime is under 5 minutes after the startTime.",
                ));
            }
        }
        Ok(())
    }

    fn begins_now(&self) -> bool {
        matches!(self.execute_type.as_deref(), None | Some("now"))
    }
}

fn read(time: Option<&str>) -> Option<Timestamp> {
    let civil = DateTime::strptime(TIME, time?).ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Order {
    file_id: String,
    targets: Targets,
    policy: Option<Policy>,
}

/// One task.
#[derive(Debug, Clone)]
pub struct Task {
    operation: Operation,
    targets: Targets,
    policy: Option<Policy>,
    /// The target version. The platform shows no other reference to the package.
    version: Option<String>,
    status: Status,
    created: Timestamp,
    stopped: Option<Timestamp>,
}

impl Task {
    /// Creates the task that `body` orders.
    ///
    /// # Errors
    /// The platform's code for the first violated rule.
    pub fn new(
        operation: Operation,
        body: &[u8],
        packages: &Packages,
        utc: Timestamp,
    ) -> Result<Self, Refusal> {
        let order: Order = serde_json::from_slice(body).map_err(|_| BAD_REQUEST)?;
        if order.file_id.is_empty() {
            return Err(BAD_REQUEST);
        }
        order.targets.check()?;
        if let Some(policy) = &order.policy {
            policy.check(utc)?;
        }
        let package = packages.get(&order.file_id).ok_or(PACKAGE_NOT_FOUND)?;
        if package.file_type.as_deref() != Some(operation.file_type()) {
            return Err(BAD_REQUEST);
        }
        let begins_now = order.policy.as_ref().is_none_or(Policy::begins_now);
        Ok(Self {
            operation,
            targets: order.targets,
            policy: order.policy,
            version: package.version.clone(),
            status: if begins_now {
                Status::Processing
            } else {
                Status::Wait
            },
            created: utc,
            stopped: None,
        })
    }

    /// Sets the status of the task and its subtasks.
    pub fn set(&mut self, status: Status, utc: Timestamp) {
        self.status = status;
        self.stopped = status.is_over().then_some(utc);
    }

    fn devices(&self) -> &[String] {
        self.targets.devices.as_deref().unwrap_or_default()
    }

    /// The task in the platform's JSON.
    pub fn shown(&self, id: &str, failed: FailedWord) -> Value {
        let count = |status| {
            if self.status == status {
                self.devices().len()
            } else {
                0
            }
        };
        json!({
            "operationId": id,
            "createTime": text(self.created),
            "startTime": text(self.created),
            "stopTime": self.stopped.map(text),
            "operateType": self.operation.word(),
            "targets": self.targets,
            "policy": self.policy,
            "status": self.status.in_task(failed),
            "staResult": {
                "total": self.devices().len(),
                "wait": count(Status::Wait),
                "processing": count(Status::Processing),
                "success": count(Status::Success),
                "fail": count(Status::Failed),
                "stop": count(Status::Stop),
                "timeout": 0,
            },
            "extendPara": {"fileVersion": self.version},
        })
    }

    /// The subtasks, one for each device of the task.
    pub fn subtasks(&self, id: &str, query: &Query) -> Vec<Value> {
        let status = self.status.in_subtask();
        if !query.meets("subOperationStatus", Some(status)) {
            return Vec::new();
        }
        let subtask = |(number, device): (usize, &String)| {
            json!({
                "subOperationId": format!("{id}-{:03}", number + 1),
                "createTime": text(self.created),
                "startTime": text(self.created),
                "stopTime": self.stopped.map(text),
                "operateType": self.operation.word(),
                "deviceId": device,
                "status": status,
                "detailInfo": null,
                "extendInfo": {
                    "upgradeTime": null, "sourceVersion": null, "curVersion": null,
                    "downloadTime": null, "targetVersion": self.version,
                },
            })
        };
        self.devices().iter().enumerate().map(subtask).collect()
    }

    fn meets(&self, query: &Query) -> bool {
        let targets = &self.targets;
        query.meets("operationType", Some(self.operation.word()))
            && query.meets(
                "operationStatus",
                Some(self.status.in_task(FailedWord::Failed)),
            )
            && query.meets("deviceType", targets.device_type.as_deref())
            && query.meets("model", targets.model.as_deref())
            && query.meets("manufacturerName", targets.manufacturer_name.as_deref())
            && query
                .get("deviceId")
                .is_none_or(|wanted| self.devices().iter().any(|device| device == wanted))
    }
}

fn text(time: Timestamp) -> String {
    time.strftime(TIME).to_string()
}

/// The tasks of one application, by id.
#[derive(Debug, Default)]
pub struct Tasks(BTreeMap<String, Task>);

impl Tasks {
    /// Stores a task under a new id, which it returns.
    pub fn add(&mut self, task: Task) -> String {
        let id = format!("task-{:05}", self.0.len() + 1);
        self.0.insert(id.clone(), task);
        id
    }

    /// The task `id`.
    pub fn get(&self, id: &str) -> Option<&Task> {
        self.0.get(id)
    }

    /// The task `id`, mutable.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut Task> {
        self.0.get_mut(id)
    }

    /// The tasks that match the filters of a query.
    pub fn matching(&self, query: &Query, failed: FailedWord) -> Vec<Value> {
        let found = self.0.iter().filter(|(_, task)| task.meets(query));
        found.map(|(id, task)| task.shown(id, failed)).collect()
    }
}

#[cfg(test)]
mod tests;
