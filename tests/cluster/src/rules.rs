//! The CEL rules of the definitions, one function for each text. A rule without a function fails a test.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{LazyLock, Mutex, PoisonError};

use jiff::Timestamp;
use regex::Regex;
use serde_json::Value;

/// A rule: whether it holds for a value and its previous value.
pub(crate) type Holds = fn(&Value, Option<&Value>) -> bool;

/// The function of a rule.
pub(crate) fn find(text: &str) -> Option<Holds> {
    let found = RULES.iter().find(|(known, _)| *known == text);
    found.map(|(_, rule)| *rule)
}

const RULES: [(&str, Holds); 17] = [
    (
        r"!has(oldSelf.status) || !has(oldSelf.status.deletion) || !has(oldSelf.status.deletion.outcome) || self.spec.lifecycle == 'Retired' || (oldSelf.spec.lifecycle == 'Active' && (!has(oldSelf.spec.retireAfter) || (has(self.spec.retireAfter) && self.spec.retireAfter <= oldSelf.spec.retireAfter)))",
        wanted_again,
    ),
    (
        r"has(self.name) || has(self.version) || has(self.fileType) || has(self.deviceType) || has(self.model) || has(self.manufacturerName)",
        expects_something,
    ),
    (r"self == oldSelf", unchanged),
    (
        r"self.matches('^[A-Za-z0-9._~-]+$') && self != '.' && self != '..'",
        file_id,
    ),
    (
        r"self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",
        dns_name,
    ),
    (
        r"self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",
        dns_label,
    ),
    (r"self > timestamp('0001-01-01T00:00:00Z')", after_year_one),
    (
        r"self.from == 'Selector' ? has(self.selector) : !has(self.selector)",
        selector_when_asked,
    ),
    (
        r"!has(self.selector) || !has(self.selector.matchExpressions) || self.selector.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && size(e.values) > 0 : e.operator in ['Exists', 'DoesNotExist'] && !(has(e.values) && size(e.values) > 0))",
        selector_operators,
    ),
    (
        r"!has(self.selector) || !has(self.selector.matchExpressions) || self.selector.matchExpressions.all(e, e.key.matches('^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$'))",
        selector_keys,
    ),
    (
        r"isURL(self) && url(self).getScheme() == 'https' && url(self).getHostname() != '' && (url(self).getPort() == '' || (int(url(self).getPort()) >= 1 && int(url(self).getPort()) <= 65535)) && !self.contains('@') && !self.contains('?') && !self.contains('#')",
        https_url,
    ),
    (
        r"self.matches('^[A-Za-z]+://([A-Za-z0-9_-][A-Za-z0-9._-]*|[[](([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,7}:|([0-9A-Fa-f]{1,4}:){1,6}:[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){1,2}|([0-9A-Fa-f]{1,4}:){1,4}(:[0-9A-Fa-f]{1,4}){1,3}|([0-9A-Fa-f]{1,4}:){1,3}(:[0-9A-Fa-f]{1,4}){1,4}|([0-9A-Fa-f]{1,4}:){1,2}(:[0-9A-Fa-f]{1,4}){1,5}|[0-9A-Fa-f]{1,4}:(:[0-9A-Fa-f]{1,4}){1,6}|:((:[0-9A-Fa-f]{1,4}){1,7}|:))[]])(:[0-9]*)?(/[A-Za-z0-9._~!$&()*+,;=:%/-]*)?$') && !self.matches('/([.]|%2[eE]){1,2}(/|$)')",
        plain_host,
    ),
    (
        r"!self.matches('^[A-Za-z]+://([^/:]*[.])?([0-9]+|0[xX][0-9A-Fa-f]*)[.]?(:|/|$)') || self.matches('^[A-Za-z]+://((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(:|/|$)')",
        no_odd_address,
    ),
    (
        r"self.matches('^([0-9]{1,5}(s|m|h))+$') && duration(self) <= duration('24h')",
        to_a_day,
    ),
    (
        r"self.matches('^([0-9]{1,5}(s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('24h')",
        window_to_a_day,
    ),
    (
        r"self.matches('^([0-9]{1,5}(s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('1h')",
        window_to_an_hour,
    ),
    (
        r"isIP(self) || (self.matches('^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?[.])*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$') && !self.matches('(^|[.])([0-9]+|0[xX][0-9A-Fa-f]*)$'))",
        host_or_address,
    ),
];

fn matches(value: &Value, pattern: &'static str) -> bool {
    static KNOWN: LazyLock<Mutex<BTreeMap<&str, Regex>>> = LazyLock::new(Mutex::default);
    let Some(text) = value.as_str() else {
        return false;
    };
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(regex) = known.get(pattern) {
        return regex.is_match(text);
    }
    let Ok(regex) = Regex::new(pattern) else {
        return false;
    };
    known.entry(pattern).or_insert(regex).is_match(text)
}

/// Parses a time in RFC 3339, as the API server accepts it.
pub(crate) fn time(text: &str) -> Option<Timestamp> {
    static FORM: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let form = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$";
        Regex::new(form).ok()
    });
    let fits = FORM.as_ref().is_some_and(|form| form.is_match(text));
    fits.then(|| text.parse().ok()).flatten()
}

fn has(value: &Value, name: &str) -> bool {
    value.get(name).is_some_and(|value| !value.is_null())
}

fn wanted_again(new: &Value, old: Option<&Value>) -> bool {
    let Some(old) = old else { return true };
    let at = |object: &Value| object["spec"]["retireAfter"].as_str().and_then(time);
    if !has(&old["status"]["deletion"], "outcome") || new["spec"]["lifecycle"] == "Retired" {
        return true;
    }
    let earlier = at(new).is_some_and(|new| at(old).is_some_and(|old| new <= old));
    old["spec"]["lifecycle"] == "Active" && (!has(&old["spec"], "retireAfter") || earlier)
}

fn expects_something(new: &Value, _: Option<&Value>) -> bool {
    let fields = [
        "name",
        "version",
        "fileType",
        "deviceType",
        "model",
        "manufacturerName",
    ];
    fields.iter().any(|name| has(new, name))
}

fn unchanged(new: &Value, old: Option<&Value>) -> bool {
    old.is_none_or(|old| old == new)
}

fn file_id(new: &Value, _: Option<&Value>) -> bool {
    matches(new, "^[A-Za-z0-9._~-]+$") && new != "." && new != ".."
}

fn dns_name(new: &Value, _: Option<&Value>) -> bool {
    matches(new, "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
}

fn dns_label(new: &Value, _: Option<&Value>) -> bool {
    matches(new, "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
}

fn after_year_one(new: &Value, _: Option<&Value>) -> bool {
    let first = time("0001-01-01T00:00:00Z");
    new.as_str().and_then(time) > first
}

fn selector_when_asked(new: &Value, _: Option<&Value>) -> bool {
    (new["from"] == "Selector") == has(new, "selector")
}

fn expressions(new: &Value) -> impl Iterator<Item = &Value> {
    let all = new["selector"]["matchExpressions"].as_array();
    all.into_iter().flatten()
}

fn selector_operators(new: &Value, _: Option<&Value>) -> bool {
    expressions(new).all(|one| {
        let some = one["values"].as_array().is_some_and(|all| !all.is_empty());
        match one["operator"].as_str() {
            Some("In" | "NotIn") => some,
            Some("Exists" | "DoesNotExist") => !some,
            Some(_) | None => false,
        }
    })
}

fn selector_keys(new: &Value, _: Option<&Value>) -> bool {
    let form = "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$";
    expressions(new).all(|one| matches(&one["key"], form))
}

/// Parses an https URL as Go's `url.ParseRequestURI` does, and checks its parts.
fn https_url(new: &Value, _: Option<&Value>) -> bool {
    let Some(text) = new.as_str() else {
        return false;
    };
    if text.contains(['@', '?', '#']) || text.chars().any(|c| c.is_ascii_control()) {
        return false;
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (name, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some(("", _)) => return false,
        Some((name, port)) => (name, port),
        None => host.split_at(host.rfind(':').unwrap_or(host.len())),
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    let numbered = digits.is_empty()
        || digits
            .parse()
            .is_ok_and(|port: u32| (1..=65535).contains(&port));
    let plain =
        port.is_empty() || port.starts_with(':') && digits.bytes().all(|b| b.is_ascii_digit());
    let in_host = |c: char| {
        !c.is_ascii() || c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:[]<>\"%".contains(c)
    };
    scheme.eq_ignore_ascii_case("https")
        && !name.is_empty()
        && numbered
        && plain
        && host.chars().all(in_host)
        && !host.contains('%')
        && escapes_are_whole(path)
}

fn escapes_are_whole(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

fn plain_host(new: &Value, _: Option<&Value>) -> bool {
    // The regex crate requires an escape for an opening bracket within brackets.
    let form = r"^[A-Za-z]+://([A-Za-z0-9_-][A-Za-z0-9._-]*|\[(([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,7}:|([0-9A-Fa-f]{1,4}:){1,6}:[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){1,2}|([0-9A-Fa-f]{1,4}:){1,4}(:[0-9A-Fa-f]{1,4}){1,3}|([0-9A-Fa-f]{1,4}:){1,3}(:[0-9A-Fa-f]{1,4}){1,4}|([0-9A-Fa-f]{1,4}:){1,2}(:[0-9A-Fa-f]{1,4}){1,5}|[0-9A-Fa-f]{1,4}:(:[0-9A-Fa-f]{1,4}){1,6}|:((:[0-9A-Fa-f]{1,4}){1,7}|:))\])(:[0-9]*)?(/[A-Za-z0-9._~!$&()*+,;=:%/-]*)?$";
    matches(new, form) && !matches(new, "/([.]|%2[eE]){1,2}(/|$)")
}

fn no_odd_address(new: &Value, _: Option<&Value>) -> bool {
    let numbers = "^[A-Za-z]+://([^/:]*[.])?([0-9]+|0[xX][0-9A-Fa-f]*)[.]?(:|/|$)";
    let address = "^[A-Za-z]+://((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(:|/|$)";
    !matches(new, numbers) || matches(new, address)
}

/// The seconds of a duration in whole seconds, minutes and hours.
fn seconds(new: &Value) -> Option<u64> {
    if !matches(new, "^([0-9]{1,5}(s|m|h))+$") {
        return None;
    }
    let (mut all, mut number) = (0, 0);
    for c in new.as_str()?.chars() {
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            digit => {
                number = number * 10 + u64::from(digit.to_digit(10)?);
                continue;
            }
        };
        all += number * unit;
        number = 0;
    }
    Some(all)
}

fn to_a_day(new: &Value, _: Option<&Value>) -> bool {
    seconds(new).is_some_and(|seconds| seconds <= 86_400)
}

fn window_to_a_day(new: &Value, _: Option<&Value>) -> bool {
    seconds(new).is_some_and(|seconds| (1..=86_400).contains(&seconds))
}

fn window_to_an_hour(new: &Value, _: Option<&Value>) -> bool {
    seconds(new).is_some_and(|seconds| (1..=3_600).contains(&seconds))
}

fn host_or_address(new: &Value, _: Option<&Value>) -> bool {
    let host = "^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?[.])*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$";
    let address = new
        .as_str()
        .is_some_and(|text| text.parse::<IpAddr>().is_ok());
    address || (matches(new, host) && !matches(new, "(^|[.])([0-9]+|0[xX][0-9A-Fa-f]*)$"))
}
