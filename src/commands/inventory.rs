//! `vpo inventory`: prints the packages that no object stands for. Requests the report from a running operator over its
//! admin port.

use std::fmt::{self, Write as _};

use jiff::Timestamp;

use super::admin_port::AdminPort;
use super::output::{grouped, seconds_until, span};
use super::table::{by_application, write_columns};
use crate::admin::inventory_report::{ApplicationInventory, InventoryReport, PATH, Package};

/// The arguments of `vpo inventory`.
#[derive(Debug, clap::Args)]
pub struct InventoryArgs {
    /// The Platform whose inventory is shown. Without this argument all inventories are shown.
    #[arg(value_name = "NAMESPACE/PLATFORM")]
    platform: Option<String>,

    #[command(flatten)]
    port: AdminPort,
}

/// Requests the report and prints it.
///
/// # Errors
/// The admin port doesn't answer, its replica doesn't lead, or the Platform doesn't exist.
pub fn run(args: &InventoryArgs) -> anyhow::Result<()> {
    let platform = args.platform.as_deref();
    let query: Vec<_> = platform
        .map(|name| ("platform", name))
        .into_iter()
        .collect();
    args.port.print(PATH, &query, table)
}

fn table(report: &InventoryReport) -> String {
    by_application(report, write_application)
}

fn write_application(
    text: &mut String,
    shown: &ApplicationInventory,
    now: Timestamp,
) -> fmt::Result {
    writeln!(text, "Application {} at {}", shown.app_id, shown.endpoint)?;
    writeln!(text, "  Platforms  {}", shown.platforms.join(", "))?;
    match &shown.reading {
        _ if !shown.on => {
            let off = "off: spec.inventory.interval of these Platforms is 0s";
            writeln!(text, "  Read       {off}")?;
        }
        None => writeln!(text, "  Read       not yet")?,
        Some(reading) => {
            writeln!(
                text,
                "  Read       {} ago, from {} to {}",
                span(reading.age_seconds),
                seconds(reading.begun),
                seconds(reading.ended)
            )?;
            writeln!(text, "  Packages   {}", grouped(reading.packages))?;
            match shown.unmanaged.len() {
                0 => writeln!(text, "  Unmanaged  none")?,
                some => writeln!(text, "  Unmanaged  {}", grouped(some))?,
            }
        }
    }
    if let Some(trouble) = &shown.trouble {
        let ago = span(seconds_until(now, trouble.time));
        writeln!(text, "  Last try   {ago} ago: {}", trouble.message)?;
    }
    if !shown.unmanaged.is_empty() {
        text.push('\n');
        write_packages(text, &shown.unmanaged)?;
    }
    Ok(())
}

fn write_packages(text: &mut String, packages: &[Package]) -> fmt::Result {
    let head = [
        "FILE-ID", "NAME", "VERSION", "TYPE", "DEVICE", "MODEL", "UPLOADED", "DELETED",
    ];
    let said = |field: &Option<String>| field.as_deref().unwrap_or("-").trim().to_owned();
    let rows = packages.iter().map(|package| {
        [
            package.file_id.clone(),
            said(&package.name),
            said(&package.version),
            said(&package.file_type),
            said(&package.device_type),
            said(&package.model),
            said(&package.upload_time),
            package.deleted_at.map(seconds).unwrap_or_default(),
        ]
    });
    write_columns(text, head, rows)
}

fn seconds(time: Timestamp) -> String {
    format!("{time:.0}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::inventory_report::{ReadingTrouble, ShownReading};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn package(id: &str) -> Package {
        Package {
            file_id: id.to_owned(),
            name: Some("meter-fw".to_owned()),
            version: Some("V1.1.10".to_owned()),
            file_type: Some("firmwarePackage".to_owned()),
            device_type: Some("WaterMeter".to_owned()),
            model: Some("17".to_owned()),
            manufacturer_name: Some("ACME".to_owned()),
            upload_time: Some("20170811T080000Z".to_owned()),
            deleted_at: None,
        }
    }

    fn report() -> InventoryReport {
        let deleted = Package {
            version: None,
            deleted_at: Some(at(100)),
            ..package("0a1b2c3d4e")
        };
        let application = ApplicationInventory {
            app_id: "app-1".to_owned(),
            endpoint: "https://iot.example.com:8743".to_owned(),
            platforms: vec!["iot/production".to_owned()],
            on: true,
            reading: Some(ShownReading {
                begun: at(390),
                ended: at(400),
                age_seconds: 600,
                packages: 1234,
            }),
            trouble: None,
            unmanaged: vec![package("0a1b"), deleted],
        };
        InventoryReport {
            time: at(1000),
            applications: vec![application],
            unusable_platforms: vec!["iot/broken".to_owned()],
        }
    }

    #[test]
    fn the_table_shows_the_age_of_the_list_and_the_unmanaged_packages() {
        let wanted = "\
Application app-1 at https://iot.example.com:8743
  Platforms  iot/production
  Read       10m ago, from 1970-01-01T00:06:30Z to 1970-01-01T00:06:40Z
  Packages   1,234
  Unmanaged  2

  FILE-ID     NAME      VERSION  TYPE             DEVICE      MODEL  UPLOADED          DELETED
  0a1b        meter-fw  V1.1.10  firmwarePackage  WaterMeter  17     20170811T080000Z
  0a1b2c3d4e  meter-fw  -        firmwarePackage  WaterMeter  17     20170811T080000Z  1970-01-01T00:01:40Z

No call can be made for iot/broken: `kubectl get platform -A` says why.
";
        assert_eq!(table(&report()), wanted);
    }

    #[test]
    fn a_list_that_was_not_read_gives_the_reason() {
        let mut report = report();
        let application = &mut report.applications[0];
        application.reading = None;
        application.unmanaged.clear();
        application.trouble = Some(ReadingTrouble {
            time: at(940),
            message: "the platform refused the list".to_owned(),
        });
        let text = table(&report);
        assert!(text.contains("  Read       not yet\n"), "{text}");
        assert!(text.contains("  Last try   60s ago: the platform refused the list\n"));
        assert!(!text.contains("Unmanaged"), "{text}");
        report.applications[0].on = false;
        assert!(table(&report).contains("off: spec.inventory.interval"));
    }
}
