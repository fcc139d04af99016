//! Compares a package with the expected package.

use crate::api::condition::cut;
use crate::api::version_package::{Expect, PackageIdentity};
use crate::plain::plain;
use crate::remote::wire::CategoryInfo;

/// The differences between the package that the platform shows and the expected one, with both values. Empty if every
/// given field matches exactly.
pub(super) fn differences(expected: &Expect, shown: &CategoryInfo) -> Vec<String> {
    let Expect {
        name,
        version,
        file_type,
        device_type,
        model,
        manufacturer_name,
    } = expected;
    [
        ("name", name, &shown.name),
        ("version", version, &shown.version),
        ("fileType", file_type, &shown.file_type),
        ("deviceType", device_type, &shown.device_type),
        ("model", model, &shown.model),
        (
            "manufacturerName",
            manufacturer_name,
            &shown.manufacturer_name,
        ),
    ]
    .into_iter()
    .filter_map(|(field, expected, shown)| {
        let expected = expected.as_ref()?;
        if shown.as_ref() == Some(expected) {
            return None;
        }
        let shown = shown.as_ref().map_or_else(
            || "nothing".to_owned(),
            |shown| format!("{:?}", bounded(shown)),
        );
        Some(format!(
            "{field}: expected {expected:?}, the platform says {shown}"
        ))
    })
    .collect()
}

/// The fields of a package that the status stores.
pub(super) fn identity(shown: &CategoryInfo) -> PackageIdentity {
    let text = |text: &Option<String>| {
        text.as_deref()
            .map(|text| plain(bounded(text)).into_owned())
    };
    PackageIdentity {
        name: text(&shown.name),
        version: text(&shown.version),
        file_type: text(&shown.file_type),
        device_type: text(&shown.device_type),
        model: text(&shown.model),
        manufacturer_name: text(&shown.manufacturer_name),
        upload_time: shown
            .upload_time
            .as_deref()
            .map(|time| plain(cut(time, 64)).into_owned()),
    }
}

/// `text`, cut to the 256 bytes that the status takes.
fn bounded(text: &str) -> &str {
    cut(text, 256)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> CategoryInfo {
        CategoryInfo {
            name: Some("meter-fw".into()),
            version: Some("V1.1.10".into()),
            ..CategoryInfo::default()
        }
    }

    #[test]
    fn only_the_fields_that_are_given_are_compared_and_exactly() {
        let expect = |version: &str| Expect {
            version: Some(version.into()),
            ..Expect::default()
        };
        assert!(differences(&expect("V1.1.10"), &shown()).is_empty());
        assert_eq!(differences(&expect("v1.1.10"), &shown()).len(), 1);
        let both = differences(&expect("V1.1.11"), &shown());
        assert!(
            both[0].contains("V1.1.11") && both[0].contains("V1.1.10"),
            "{both:?}"
        );
    }

    #[test]
    fn a_field_that_the_platform_does_not_tell_matches_nothing() {
        let expect = Expect {
            model: Some("17".into()),
            ..Expect::default()
        };
        assert_eq!(
            differences(&expect, &shown()),
            ["model: expected \"17\", the platform says nothing"]
        );
    }
}
