//! Every value that the schema accepts can be parsed and keeps its meaning: random values on the real API server,
//! parsed as the operator parses them.

mod places;

use std::time::Duration as Span;

use fastrand::Rng;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use version_package_operator::api::names::FileId;
use version_package_operator::api::platform::PlatformSpec;
use version_package_operator::api::version_package::VersionPackageSpec;

use super::*;

/// The number of random values for each field.
const SAMPLES: usize = 40;

/// The object as the API server would store it; `None` where it refuses the object.
async fn stored(object: Value) -> Option<Value> {
    let kind = object["kind"].as_str().unwrap().to_owned();
    let kind = GroupVersionKind::gvk("iodm.dev", "v1alpha1", &kind);
    let plural = format!("{}s", kind.kind.to_lowercase());
    let kind = ApiResource::from_gvk_with_plural(&kind, &plural);
    let api: Api<DynamicObject> = Api::namespaced_with(plane().client().await, "default", &kind);
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    match api.create(&params, &object).await {
        Ok(stored) => Some(serde_json::to_value(stored).unwrap()),
        Err(kube::Error::Api(status)) => {
            assert!(matches!(status.code, 400 | 422), "{status:?}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Tries `values` in one field: the server must accept at least `few`, and `read` must parse each with its written
/// meaning.
async fn all_mean_what_is_written(
    object: Value,
    field: &str,
    few: usize,
    values: Vec<Value>,
    read: impl Fn(&Value, &Value),
) {
    let mut accepted = 0;
    for value in values {
        let object = named("default", "any", with(object.clone(), field, &value));
        if let Some(stored) = stored(object).await {
            accepted += 1;
            read(&value, &stored["spec"]);
        }
    }
    assert!(accepted >= few, "{field}: only {accepted} were accepted");
}

fn one_of<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

/// Random rows of `pieces`, with an occasional invalid piece.
fn rows(rng: &mut Rng, pieces: &[&str], most: usize) -> Vec<Value> {
    const ODD: [&str; 12] = [
        " ", "\n", "\u{0}", "ü", "%", "\\", "'", "\u{663}", "-", "+", ".", "",
    ];
    let mut row = || {
        let mut text: String = (0..rng.usize(1..=most))
            .map(|_| one_of(rng, pieces))
            .collect();
        if rng.u8(..4) == 0 {
            let at = rng.usize(..=text.len());
            if text.is_char_boundary(at) {
                text.insert_str(at, one_of(rng, &ODD));
            }
        }
        json!(text)
    };
    (0..SAMPLES).map(|_| row()).collect()
}

fn texts(values: &[&str]) -> Vec<Value> {
    values.iter().map(|value| json!(value)).collect()
}

/// The sum of the parts, computed independently.
fn added_up(text: &str) -> Span {
    let mut sum = 0;
    let mut number = 0;
    for letter in text.chars() {
        match letter {
            's' | 'm' | 'h' => {
                sum += number
                    * match letter {
                        's' => 1,
                        'm' => 60,
                        _ => 3600,
                    };
                number = 0;
            }
            digit => number = number * 10 + u64::from(digit.to_digit(10).unwrap()),
        }
    }
    Span::from_secs(sum)
}

#[tokio::test]
async fn durations_mean_what_is_written() {
    let mut rng = Rng::with_seed(19);
    let pieces = [
        "0", "1", "5", "30", "60", "00", "s", "m", "h", "5s", "1m", "1h", "ms", "d",
    ];
    for field in [
        "quota.window",
        "guard.window",
        "guard.gracePeriod",
        "inventory.interval",
    ] {
        let mut values = texts(&[
            "5s5m", "1m30s", "30s1m", "1s1s1s", "3600s", "00060s", "0001h", "1h0m0s", "24h",
            "1440m", "86400s", "0s", "0h0m0s", "90m", "1m1m",
        ]);
        values.extend(rows(&mut rng, &pieces, 5));
        all_mean_what_is_written(platform(), field, 8, values, |written, spec| {
            let spec = PlatformSpec::read(spec.clone()).unwrap();
            let read = match field {
                "quota.window" => spec.quota.window(),
                "guard.window" => spec.guard.window(),
                "guard.gracePeriod" => spec.guard.grace_period(),
                _ => spec.inventory.interval().unwrap_or_default(),
            };
            assert_eq!(
                read,
                added_up(written.as_str().unwrap()),
                "{field}: {written}"
            );
        })
        .await;
    }
}

#[tokio::test]
async fn times_mean_what_is_written_and_the_last_ones_never() {
    let mut rng = Rng::with_seed(19);
    let mut values = texts(&[
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59.999999999Z",
        "9999-12-31T23:59:59-23:59",
        "9999-12-30T22:00:01Z",
        "2026-12-24T00:00:00.123456789123456789Z",
        "2026-12-24T00:00:00,5Z",
        "2026-12-24T00:00:00x5Z",
        "2026-12-24t00:00:00z",
        "2026-12-24T00:00:00ZTomorrow",
        "2026-12-24T00:00:00Tz",
        "2026-12-24T00:00:00+99:99",
        "2026-12-24T00:00:00+24:00",
        "2026-12-24T23:59:60Z",
        "2026-12-24 00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2026-02-30T00:00:00Z",
        "12026-12-24T00:00:00Z",
        "",
    ]);
    values.extend((0..2 * SAMPLES).map(|_| {
        let offset = match rng.u8(..3) {
            0 => "Z".to_owned(),
            _ => format!(
                "{}{:02}:{:02}",
                one_of(&mut rng, &["+", "-"]),
                rng.u8(..26),
                rng.u8(..61)
            ),
        };
        let year = if rng.bool() { rng.u16(..=9999) } else { 9999 };
        let fraction = one_of(
            &mut rng,
            &["", "", ".5", ".000", ",5", ".", "x1", ".1234567890"],
        );
        json!(format!(
            "{year:04}-{:02}-{:02}T{:02}:{:02}:{:02}{fraction}{offset}",
            rng.u8(..14),
            rng.u8(..33),
            rng.u8(..25),
            rng.u8(..61),
            rng.u8(..61)
        ))
    }));
    let read = |written: &Value, spec: &Value| {
        let spec: VersionPackageSpec = serde_json::from_value(spec.clone())
            .unwrap_or_else(|error| panic!("{written}: {error}"));
        let text = written.as_str().unwrap();
        match spec.retire_after {
            None => assert!(text.starts_with("9999-12-3"), "{text} was taken for never"),
            Some(at) => {
                // The whole seconds, by another parser.
                let (date, rest) = text.split_at(19);
                let date: jiff::civil::DateTime = date.parse().unwrap();
                let zone = rest.trim_start_matches(|c: char| !matches!(c, 'Z' | '+' | '-'));
                let seconds = match zone.strip_prefix(['+', '-']) {
                    None => 0,
                    Some(offset) => {
                        let (hours, minutes) = offset.split_once(':').unwrap();
                        let span = hours.parse::<i32>().unwrap() * 3600
                            + minutes.parse::<i32>().unwrap() * 60;
                        if zone.starts_with('-') { -span } else { span }
                    }
                };
                let offset = jiff::tz::Offset::from_seconds(seconds).unwrap();
                let meant = offset.to_timestamp(date).unwrap();
                // Before 1970 a fraction also goes forward.
                let whole = at.0.as_nanosecond().div_euclid(1_000_000_000);
                assert_eq!(whole, i128::from(meant.as_second()), "{text}");
            }
        }
    };
    all_mean_what_is_written(version_package(), "retireAfter", 15, values, read).await;
}

#[tokio::test]
async fn file_ids_and_names_mean_what_is_written() {
    let mut rng = Rng::with_seed(19);
    let pieces = ["a", "Z", "0", "-", ".", "_", "~", "..", "/", "%2e", "é"];
    all_mean_what_is_written(
        version_package(),
        "fileId",
        10,
        rows(&mut rng, &pieces, 6),
        |written, spec| {
            let spec: VersionPackageSpec = serde_json::from_value(spec.clone()).unwrap();
            assert_eq!(json!(spec.file_id.as_str()), *written);
            assert!(written.as_str().unwrap().parse::<FileId>().is_ok());
        },
    )
    .await;
    let pieces = ["a", "z", "0", "-", ".", "A", "_", "/"];
    for (field, few) in [("platformRef.name", 8), ("platformRef.namespace", 5)] {
        let values = rows(&mut rng, &pieces[..5], 5)
            .into_iter()
            .chain(rows(&mut rng, &pieces, 4));
        all_mean_what_is_written(
            version_package(),
            field,
            few,
            values.collect(),
            |written, spec| {
                let spec: VersionPackageSpec = serde_json::from_value(spec.clone()).unwrap();
                let reference = spec.platform_ref;
                let read = [Some(reference.name), reference.namespace];
                assert!(
                    read.contains(&written.as_str().map(str::to_owned)),
                    "{written}"
                );
            },
        )
        .await;
    }
}

#[tokio::test]
async fn expectations_and_secret_names_mean_what_is_written() {
    let mut rng = Rng::with_seed(19);
    let pieces = ["a", "Z", "0", "-", ".", " ", "\u{7}", "é", "名"];
    for field in [
        "name",
        "version",
        "fileType",
        "deviceType",
        "model",
        "manufacturerName",
    ] {
        let values = rows(&mut rng, &pieces, 6);
        let read = |written: &Value, spec: &Value| {
            let spec: VersionPackageSpec = serde_json::from_value(spec.clone()).unwrap();
            let expect = serde_json::to_value(spec.expect.unwrap()).unwrap();
            assert_eq!(expect, json!({field: written}));
        };
        let path = format!("expect.{field}");
        all_mean_what_is_written(version_package(), &path, 10, values, read).await;
    }
    let pieces = ["a", "z", "0", "-", ".", "A", "_", "/"];
    for field in [
        "credentialsSecretRef",
        "tls.caSecretRef",
        "tls.clientCertSecretRef",
    ] {
        let values = rows(&mut rng, &pieces[..5], 5)
            .into_iter()
            .chain(rows(&mut rng, &pieces, 4));
        let pointer = format!("/{}/name", field.replace('.', "/"));
        let read = |written: &Value, spec: &Value| {
            let spec = PlatformSpec::read(spec.clone()).unwrap();
            let spec = serde_json::to_value(spec).unwrap();
            assert_eq!(spec.pointer(&pointer), Some(written));
        };
        let path = format!("{field}.name");
        all_mean_what_is_written(platform(), &path, 5, values.collect(), read).await;
    }
}

#[tokio::test]
async fn numbers_and_selectors_mean_what_is_written() {
    let numbers: Vec<Value> = [
        "0", "1", "-1", "50", "100", "100.0", "1e2", "1.5", "10000", "10001", "1000000", "1000001",
        "3e9", "null",
    ]
    .map(|text| serde_json::from_str(text).unwrap())
    .into();
    for (field, few) in [
        ("quota.calls", 4),
        ("guard.maxDeletions", 5),
        ("guard.maxPercent", 4),
    ] {
        all_mean_what_is_written(platform(), field, few, numbers.clone(), |written, spec| {
            let spec =
                PlatformSpec::read(spec.clone()).unwrap_or_else(|why| panic!("{written}: {why}"));
            let read = match field {
                "quota.calls" => Some(spec.quota.limit()),
                "guard.maxDeletions" => Some(spec.guard.max_deletions()),
                _ => spec.guard.max_percent(),
            };
            if let Some(meant) = written.as_f64() {
                let read = u32::try_from(read.unwrap()).unwrap();
                assert!(
                    (f64::from(read) - meant).abs() < f64::EPSILON,
                    "{field}: {written}"
                );
            }
        })
        .await;
    }
    let mut rng = Rng::with_seed(19);
    let keys = ["team", "example.com/team", "a/b/c", "", "-a", "é", "x_y.z"];
    let mut selectors = Vec::new();
    for _ in 0..2 * SAMPLES {
        let operator = one_of(
            &mut rng,
            &["In", "NotIn", "Exists", "DoesNotExist", "Near", ""],
        );
        let mut rule = json!({"key": one_of(&mut rng, &keys), "operator": operator});
        if rng.bool() {
            let values: Vec<&str> = (0..rng.usize(..3))
                .map(|_| one_of(&mut rng, &["a", "b", "é", ""]))
                .collect();
            rule["values"] = json!(values);
        }
        let labels = json!({one_of(&mut rng, &keys): one_of(&mut rng, &["a", "é", ""])});
        let mut selector = json!({"matchExpressions": [rule]});
        if rng.bool() {
            selector["matchLabels"] = labels;
        }
        selectors.push(json!({"from": "Selector", "selector": selector}));
    }
    all_mean_what_is_written(
        platform(),
        "allowedNamespaces",
        5,
        selectors,
        |written, spec| {
            let spec = PlatformSpec::read(spec.clone()).unwrap();
            let labels = spec.allowed_namespaces.labels();
            assert!(matches!(labels, Ok(Some(_))), "{written}: {labels:?}");
        },
    )
    .await;
}
