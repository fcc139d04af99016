//! Requests a report from the admin port of a running operator and prints it.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::output::Output;
use crate::admin::desk::ReportRefusal;
use crate::plain;

/// The time limit of the request.
const PATIENCE: Duration = Duration::from_secs(10);
const FORWARD: &str = "kubectl -n version-package-operator port-forward pod/$(kubectl -n version-package-operator get lease version-package-operator -o jsonpath='{.spec.holderIdentity}' | cut -d_ -f1) 8080";

/// The address of the admin port and the output format.
#[derive(Debug, clap::Args)]
pub struct AdminPort {
    /// The output format.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,

    /// The admin port of the leading replica.
    #[arg(
        long,
        env = "VPO_ADMIN",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    admin: String,
}

impl AdminPort {
    /// Requests the report at `path` and prints it; the format `Table` uses `table`.
    ///
    /// # Errors
    /// The admin port doesn't answer, its replica doesn't lead, or the requested object doesn't exist.
    pub fn print<Report: DeserializeOwned + Serialize>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        table: impl FnOnce(&Report) -> String,
    ) -> anyhow::Result<()> {
        let address = self.address(path, query)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let report = runtime.block_on(self.ask(address))?;
        let text = shown(&report, self.output, table)?;
        std::io::stdout().lock().write_all(text.as_bytes())?;
        Ok(())
    }

    fn address(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Url> {
        let url = Url::parse(&self.admin)
            .ok()
            .filter(|url| url.scheme() == "http");
        let mut url = url.with_context(|| {
            format!("--admin {} is not of the form http://HOST:PORT", self.admin)
        })?;
        url.set_path(path);
        url.query_pairs_mut().extend_pairs(query);
        Ok(url)
    }

    async fn ask<Report: DeserializeOwned>(&self, address: Url) -> anyhow::Result<Report> {
        // reqwest needs a TLS provider even for plain http.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The port is forwarded to this machine, so no proxy can reach it.
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
        let answer = async {
            let response = client.build()?.get(address).send().await?;
            let status = response.status();
            Ok::<_, reqwest::Error>((status, response.bytes().await?))
        };
        let admin = &self.admin;
        let (status, body) = answer
            .await
            .map_err(reqwest::Error::without_url)
            .with_context(|| {
                format!("no operator answers at {admin}: forward its port with `{FORWARD}`, or name another with --admin")
            })?;
        read(status, &body).with_context(|| format!("asked {admin}"))
    }
}

fn read<Report: DeserializeOwned>(status: StatusCode, body: &[u8]) -> anyhow::Result<Report> {
    if status.is_success()
        && let Ok(report) = serde_json::from_slice(body)
    {
        return Ok(report);
    }
    match serde_json::from_slice::<ReportRefusal>(body) {
        Ok(refusal) => anyhow::bail!("{}", refusal.error),
        Err(_) => anyhow::bail!(
            "something answers there (HTTP {}), but it is not an operator, or it is an operator of another version",
            status.as_u16()
        ),
    }
}

/// The report as text. Its strings are sanitized: platforms list packages under any name, and a terminal obeys control
/// characters.
fn shown<Report: DeserializeOwned + Serialize>(
    report: &Report,
    output: Output,
    table: impl FnOnce(&Report) -> String,
) -> anyhow::Result<String> {
    match output {
        Output::Table => {
            let mut texts = serde_json::to_value(report)?;
            plain::texts(&mut texts);
            Ok(table(&serde_json::from_value(texts)?))
        }
        Output::Json => {
            let text = serde_json::to_string_pretty(report)?;
            Ok(format!("{}\n", plain::json(&text)))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Report {
        time: String,
    }

    #[test]
    fn an_answer_that_is_no_report_is_quoted() {
        let said = |status, body: &str| {
            let error = read::<Report>(status, body.as_bytes()).unwrap_err();
            error.to_string()
        };
        let refused = said(
            StatusCode::NOT_FOUND,
            r#"{"error":"there is no Platform a/b"}"#,
        );
        assert_eq!(refused, "there is no Platform a/b");
        for (status, body) in [
            (StatusCode::OK, "<html>"),
            (StatusCode::OK, r#"{"time":7}"#),
            (StatusCode::NOT_FOUND, ""),
        ] {
            assert!(
                said(status, body).contains("it is not an operator"),
                "{body}"
            );
        }
        let report = Report {
            time: "now".to_owned(),
        };
        let json = serde_json::to_vec(&report).unwrap();
        assert_eq!(read::<Report>(StatusCode::OK, &json).unwrap(), report);
    }

    #[test]
    fn no_string_of_a_report_controls_a_terminal_or_forges_a_line() {
        let report = Report {
            time: plain::HOSTILE.to_owned(),
        };
        let table = |report: &Report| format!("{}\n", report.time);
        let said = shown(&report, Output::Table, table).unwrap();
        assert_eq!(said, format!("{}\n", plain::plain(plain::HOSTILE)));
        let json = shown(&report, Output::Json, table).unwrap();
        assert_eq!(plain::lines(&json), json);
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }

    #[test]
    fn an_invalid_address_is_refused_without_a_request() {
        let port = |admin: &str| AdminPort {
            output: Output::Table,
            admin: admin.to_owned(),
        };
        let query = [("limit", "5"), ("platform", "iot/production")];
        for admin in ["127.0.0.1:8080", "localhost:8080", "https://h:1", ""] {
            assert!(port(admin).address("/queue", &query).is_err(), "{admin}");
        }
        let url = port("http://h:1").address("/queue", &query).unwrap();
        assert_eq!(
            url.as_str(),
            "http://h:1/queue?limit=5&platform=iot%2Fproduction"
        );
        let url = port("http://h:1").address("/inventory", &[]).unwrap();
        assert_eq!(url.path(), "/inventory");
    }
}
