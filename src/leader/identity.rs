//! The identity of a process that holds the Lease.

/// The identity of this process. With `pod_name` and `pod_uid`, a restarted container keeps its identity and takes
/// its own Lease back at once; without them, each process has a new identity.
pub fn identity(pod_name: Option<&str>, pod_uid: Option<&str>) -> String {
    let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let name = given(pod_name).or_else(host_name);
    let name = name.unwrap_or_else(|| "local".to_owned());
    match (given(pod_name), given(pod_uid)) {
        (Some(_), Some(uid)) => format!("{name}_{uid}"),
        _ => format!("{name}_{:016x}", fastrand::u64(..)),
    }
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pod_with_name_and_uid_is_the_same_again() {
        assert_eq!(identity(Some("pod-0"), Some("u")), "pod-0_u");
        for (name, uid) in [
            (Some("pod-0"), None),
            (None, Some("u")),
            (None, None),
            (Some(""), Some("u")),
        ] {
            assert_ne!(identity(name, uid), identity(name, uid));
        }
    }
}
