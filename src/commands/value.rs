//! Values of flags that clap can't read by itself.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Why a value can't be used. Messages print this text after the value.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadValue(pub(super) String);

/// Parses `text` as a duration, and checks the duration with `fits`.
///
/// # Errors
/// The message `otherwise`, if `text` is no duration or `fits` returns `false`.
pub(super) fn duration(
    text: &str,
    fits: impl Fn(&Duration) -> bool,
    otherwise: &str,
) -> Result<Duration, BadValue> {
    let span = text.parse::<jiff::SignedDuration>().ok();
    let span = span.and_then(|span| Duration::try_from(span).ok());
    span.filter(fits)
        .ok_or_else(|| BadValue(otherwise.to_owned()))
}

/// Parses `text` as an address. `:PORT` stands for all addresses of both families, as in Go programs.
///
/// # Errors
/// `text` is neither `ADDRESS:PORT` nor `:PORT`.
pub(super) fn listen_address(text: &str) -> Result<SocketAddr, BadValue> {
    let address = match text.strip_prefix(':') {
        Some(port) => port
            .parse()
            .ok()
            .map(|port: u16| (Ipv6Addr::UNSPECIFIED, port).into()),
        None => text.parse().ok(),
    };
    address.ok_or_else(|| {
        BadValue(
            "is not ADDRESS:PORT, such as [::]:8080 or 127.0.0.1:8080, and not :PORT".to_owned(),
        )
    })
}

/// Makes each flag ignore its environment variable if `look_up` says that the variable is empty. This includes the
/// flags of the subcommands. So a template that leaves a variable empty gets the default.
#[must_use]
pub fn ignore_empty_environment(
    command: clap::Command,
    look_up: impl Fn(&OsStr) -> Option<OsString> + Copy,
) -> clap::Command {
    command
        .mut_args(|flag| {
            let empty = flag
                .get_env()
                .and_then(look_up)
                .is_some_and(|value| value.is_empty());
            if empty { flag.env(None::<&str>) } else { flag }
        })
        .mut_subcommands(|command| ignore_empty_environment(command, look_up))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_listens_on_all_addresses_of_both_families() {
        let read = |text| listen_address(text).ok().map(|address| address.to_string());
        for (text, address) in [
            (":8080", "[::]:8080"),
            ("[::]:8080", "[::]:8080"),
            ("0.0.0.0:8080", "0.0.0.0:8080"),
            ("127.0.0.1:0", "127.0.0.1:0"),
        ] {
            assert_eq!(read(text).as_deref(), Some(address));
        }
        for text in [
            "",
            ":",
            "8080",
            "::",
            ":65536",
            ":http",
            "localhost:8080",
            "127.0.0.1",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn an_empty_environment_variable_counts_as_unset_also_in_subcommands() {
        let flag = |name: &'static str| clap::Arg::new(name).long(name).env(name);
        let inner = clap::Command::new("inner")
            .arg(flag("EMPTY"))
            .arg(flag("SET"));
        let outer = clap::Command::new("outer")
            .arg(flag("UNSET"))
            .subcommand(inner);
        let look_up = |name: &OsStr| match name.to_str() {
            Some("EMPTY") => Some(OsString::new()),
            Some("SET") => Some("x".into()),
            _ => None,
        };
        let outer = ignore_empty_environment(outer, look_up);
        let inner = outer.find_subcommand("inner").unwrap();
        let variables = |command: &clap::Command| -> Vec<OsString> {
            command
                .get_arguments()
                .filter_map(|flag| flag.get_env().map(OsStr::to_owned))
                .collect()
        };
        assert_eq!(variables(&outer), ["UNSET"]);
        assert_eq!(variables(inner), ["SET"]);
    }
}
