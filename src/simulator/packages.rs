//! The version packages of one application: examples, filters and pages.

use std::collections::BTreeMap;

use jiff::civil::date;
use jiff::{Span, tz::TimeZone};
use serde_json::{Value, json};

use super::answer::Refusal;
use super::refusals::{BAD_REQUEST, PAGING_OUT_OF_RANGE};
use super::settings::Filters;
use crate::remote::wire::CategoryInfo;

/// Packages by `fileId`, which is also the order of lists.
pub type Packages = BTreeMap<String, CategoryInfo>;

/// The platform's time format, in UTC.
pub const TIME: &str = "%Y%m%dT%H%M%SZ";

/// Example packages, from `package-00001` on.
pub fn preloaded(count: u32) -> Packages {
    (1..=count)
        .map(|number| {
            let id = format!("package-{number:05}");
            (id.clone(), example(&id, number))
        })
        .collect()
}

/// A text that can't be the id of a package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("fileId {0:?} must be 1 to 256 letters, digits, '-', '.', '_' or '~'")]
pub struct NoFileId(String);

/// The package `given`, with example values for the fields that are absent.
///
/// # Errors
/// The package has no `fileId`, or the `fileId` can't be the id of a package.
pub fn completed(given: CategoryInfo, number: u32) -> Result<(String, CategoryInfo), NoFileId> {
    let id = given.file_id.clone().unwrap_or_default();
    if !is_file_id(&id) {
        return Err(NoFileId(id));
    }
    let example = example(&id, number);
    let package = CategoryInfo {
        file_id: Some(id.clone()),
        name: given.name.or(example.name),
        version: given.version.or(example.version),
        file_type: given.file_type.or(example.file_type),
        device_type: given.device_type.or(example.device_type),
        model: given.model.or(example.model),
        manufacturer_name: given.manufacturer_name.or(example.manufacturer_name),
        protocol_type: given.protocol_type.or(example.protocol_type),
        description: given.description.or(example.description),
        date: given.date.or(example.date),
        upload_time: given.upload_time.or(example.upload_time),
    };
    Ok((id, package))
}

/// Whether the simulator accepts `text` as an id; the vendor documents no format of a `fileId`.
pub fn is_file_id(text: &str) -> bool {
    (1..=256).contains(&text.len())
        && text != "."
        && text != ".."
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// An example package with the oddities of the platform: strings for numbers, dates with blanks and one-digit months,
/// descriptions that are null or not ASCII.
fn example(id: &str, number: u32) -> CategoryInfo {
    let (device, model) = [
        ("WaterMeter", "17"),
        ("GasMeter", "G4-2"),
        ("StreetLight", "35"),
    ][number as usize % 3];
    let firmware = number % 4 != 3;
    let uploaded = date(2017, 8, 11)
        .at(8, 0, 0, 0)
        .saturating_add(Span::new().minutes(i64::from(number) * 37));
    let date = if number.is_multiple_of(5) {
        format!(
            " {}-{}-{} ",
            uploaded.year(),
            uploaded.month(),
            uploaded.day()
        )
    } else {
        uploaded.strftime("%Y-%m-%d").to_string()
    };
    CategoryInfo {
        file_id: Some(id.to_owned()),
        name: Some(format!(
            "{}-{}",
            device.to_lowercase(),
            if firmware { "fw" } else { "app" }
        )),
        version: Some(format!("V1.{}.{}", number / 10, number % 10)),
        file_type: Some(
            if firmware {
                "firmwarePackage"
            } else {
                "softwarePackage"
            }
            .to_owned(),
        ),
        device_type: Some(device.to_owned()),
        model: Some(model.to_owned()),
        manufacturer_name: Some("ACME".to_owned()),
        protocol_type: Some("CoAP".to_owned()),
        description: match number % 7 {
            0 => Some("水表固件".to_owned()),
            1..=3 => Some(format!("build {number}")),
            _ => None,
        },
        date: Some(date),
        upload_time: uploaded
            .to_zoned(TimeZone::UTC)
            .ok()
            .map(|time| time.strftime(TIME).to_string()),
    }
}

/// The decoded parameters of a query.
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// Parses the query of a URL; the last of several parameters with one name counts.
    pub fn parse(text: Option<&str>) -> Self {
        Self(
            url::form_urlencoded::parse(text.unwrap_or_default().as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// A parameter; `None` where it is absent or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Whether `value` matches the filter `name`; true where the filter is absent.
    pub fn meets(&self, name: &str, value: Option<&str>) -> bool {
        self.get(name).is_none_or(|wanted| value == Some(wanted))
    }
}

/// One page of a list: page numbers start at 0, page sizes are 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paging {
    number: usize,
    size: usize,
}

impl Paging {
    /// Reads `pageNo` (default 0) and `pageSize` (default 10).
    ///
    /// # Errors
    /// Code 120015 for a value that isn't a number, 123029 for a page size beyond the limit.
    pub fn of(query: &Query) -> Result<Self, Refusal> {
        let read = |name, default| {
            query
                .get(name)
                .map_or(Ok(default), |text| text.parse().map_err(|_| BAD_REQUEST))
        };
        let (number, size) = (read("pageNo", 0)?, read("pageSize", 10)?);
        if size > 100 || size == 0 {
            return Err(PAGING_OUT_OF_RANGE);
        }
        Ok(Self { number, size })
    }

    /// The body of the answer: this page of `matches`, empty beyond their end.
    pub fn page(self, matches: &[Value]) -> Value {
        let data: Vec<_> = matches
            .iter()
            .skip(self.number.saturating_mul(self.size))
            .take(self.size)
            .collect();
        json!({"data": data, "pageNo": self.number, "pageSize": self.size, "totalCount": matches.len()})
    }
}

/// The packages that match the filters of a query. The pages and the reference of the documentation spell the
/// manufacturer's filter differently, so both spellings are accepted.
pub fn matching(packages: &Packages, query: &Query, filters: Filters) -> Vec<Value> {
    let meets = |package: &CategoryInfo| match filters {
        Filters::Ignored => true,
        Filters::Honoured => [
            ("fileType", &package.file_type),
            ("deviceType", &package.device_type),
            ("model", &package.model),
            ("manufacturerName", &package.manufacturer_name),
            ("manufactureName", &package.manufacturer_name),
            ("version", &package.version),
        ]
        .into_iter()
        .all(|(name, value)| query.meets(name, value.as_deref())),
    };
    packages
        .values()
        .filter(|package| meets(package))
        .map(|package| json!(package))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_packages_have_all_eleven_fields_and_ids_that_need_no_encoding() {
        let packages = preloaded(120);
        assert_eq!(packages.len(), 120);
        assert!(packages.keys().all(|id| is_file_id(id)));
        assert!(packages.contains_key("package-00001") && packages.contains_key("package-00120"));
        for package in packages.values() {
            let json = json!(package);
            let missing: Vec<_> = json
                .as_object()
                .unwrap()
                .iter()
                .filter(|(name, value)| value.is_null() && *name != "description")
                .collect();
            assert!(missing.is_empty(), "{missing:?}");
            assert_eq!(json.as_object().unwrap().len(), 11);
        }
        let first = &packages["package-00001"];
        assert_eq!(first.upload_time.as_deref(), Some("20170811T083700Z"));
    }

    #[test]
    fn missing_fields_of_a_given_package_are_filled_in() {
        let given = CategoryInfo {
            file_id: Some("mine".into()),
            version: Some("V9".into()),
            ..CategoryInfo::default()
        };
        let (id, package) = completed(given, 1).unwrap();
        assert_eq!(
            (id.as_str(), package.version.as_deref()),
            ("mine", Some("V9"))
        );
        assert!(package.name.is_some() && package.upload_time.is_some());
        for bad in ["", "..", "a b", "a/b", "ä"] {
            let given = CategoryInfo {
                file_id: Some(bad.into()),
                ..CategoryInfo::default()
            };
            assert!(
                completed(given, 1) == Err(NoFileId(bad.to_owned())),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn pages_start_at_zero_and_are_empty_beyond_the_end() {
        let values: Vec<Value> = (0..25).map(|n| json!(n)).collect();
        let page = |query: &str| Paging::of(&Query::parse(Some(query))).map(|p| p.page(&values));
        let first = page("").unwrap();
        assert_eq!(first["data"].as_array().unwrap().len(), 10);
        assert_eq!(
            (&first["pageNo"], &first["totalCount"]),
            (&json!(0), &json!(25))
        );
        assert_eq!(
            page("pageNo=2&pageSize=10").unwrap()["data"],
            json!([20, 21, 22, 23, 24])
        );
        assert_eq!(page("pageNo=3").unwrap()["data"], json!([]));
        assert_eq!(
            page("pageNo=18446744073709551615").unwrap()["data"],
            json!([])
        );
    }

    #[test]
    fn non_numeric_and_out_of_range_paging_have_different_codes() {
        let of = |query: &str| Paging::of(&Query::parse(Some(query))).unwrap_err();
        for query in ["pageNo=-1", "pageNo=x", "pageSize=1.5", "pageSize=-3"] {
            assert_eq!(of(query), BAD_REQUEST, "{query}");
        }
        for query in ["pageSize=0", "pageSize=101"] {
            assert_eq!(of(query), PAGING_OUT_OF_RANGE, "{query}");
        }
    }

    #[test]
    fn filters_match_exactly_in_both_spellings_unless_they_are_ignored() {
        let packages = preloaded(30);
        let count =
            |query: &str, filters| matching(&packages, &Query::parse(Some(query)), filters).len();
        assert_eq!(count("deviceType=WaterMeter", Filters::Honoured), 10);
        assert_eq!(count("deviceType=watermeter", Filters::Honoured), 0);
        assert_eq!(
            count("manufacturerName=ACME&version=V1.0.1", Filters::Honoured),
            1
        );
        assert_eq!(count("manufactureName=other", Filters::Honoured), 0);
        assert_eq!(count("manufactureName=other", Filters::Ignored), 30);
        assert_eq!(count("fileType=", Filters::Honoured), 30);
    }
}
