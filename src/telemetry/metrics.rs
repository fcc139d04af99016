//! stub
use crate::api::version_package::Outcome;
use crate::remote::answer::Answer;
/// stub
pub struct Metrics;
impl Metrics {
    /// stub
    pub fn pass(&self) {}
    /// stub
    pub fn platform_call(&self, _call: &str, _answer: &Answer) {}
    /// stub
    pub fn deletion(&self, _: Outcome) {}
    /// stub
    pub fn time_to_delete(&self, _: std::time::Duration) {}
    /// stub
    pub fn event(&self, _: &str) {}
    /// stub
    pub fn write_failed(&self) {}
    /// stub
    pub fn watch_restart(&self, _: &str) {}
    /// stub
    pub fn blind_permit(&self) {}
}
