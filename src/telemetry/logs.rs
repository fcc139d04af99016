//! Logs on standard error, as text or JSON. Logging never waits for the reader: lines that find the queue full are
//! dropped and counted.

use std::fmt;
use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::time::Duration;

use clap::ValueEnum;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::{EnvFilter, ParseError, filter_fn};
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::{FormatFields, MakeWriter, layer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use super::lines::Lines;
use crate::plain;

/// The log lines of this process.
static LINES: OnceLock<Lines> = OnceLock::new();

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The reason why logging can't start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter can't be parsed.
    #[error(
        "log filter {filter:?} can't be read ({source}): it takes a level such as info, or target=level pairs with commas between them"
    )]
    Filter {
        /// The filter.
        filter: String,
        /// The parse error.
        source: ParseError,
    },
    /// Logging has been started already.
    #[error("logs can't begin: {0}")]
    Begun(#[from] TryInitError),
    /// The writer thread can't be started.
    #[error("logs can't begin: {0}")]
    Thread(#[from] io::Error),
}

/// Starts logging with a filter such as `info` or `info,version_package_operator=debug`.
///
/// # Errors
/// The filter can't be parsed, this process logs already, or the writer thread can't be started.
pub fn init(format: LogFormat, filter: &str) -> Result<(), LogError> {
    let colors = io::stderr().is_terminal();
    let told = |count| {
        tracing::warn!(
            count,
            "log lines were dropped, since standard error took none"
        );
    };
    let lines = Lines::to(io::stderr(), told)?;
    let writer = lines.clone();
    subscriber(format, filter, colors, move || writer.clone())?.try_init()?;
    // Only the first call of this function gets here.
    let _ = LINES.set(lines);
    Ok(())
}

/// The number of log lines that this process has dropped.
pub fn dropped() -> u64 {
    LINES.get().map_or(0, Lines::dropped)
}

/// Waits until all log lines are written, but at most for `patience`. Called before the process exits.
pub fn flush(patience: Duration) {
    if let Some(lines) = LINES.get() {
        lines.flush(patience);
    }
}

/// Installs a panic hook that logs the panic with its span, which names the object of the pass.
pub fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| {
        tell_panic(panic);
        flush(LAST_WORDS);
    }));
}

/// How long a panicking process waits for its last log lines.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Logs a panic. A formatted message may quote a Secret, so only a literal message is logged.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(tracing::field::display);
    let message = panic.payload().downcast_ref::<&'static str>();
    tracing::error!(
        location,
        message_of_the_panic = message.copied(),
        "a defect of the operator: it panicked and ends; report the location, and look at the object of this line"
    );
}

/// The targets under which kube logs undecodable bodies, which may hold a Secret.
const BODIES: [&str; 2] = ["kube_client::client", "kube_runtime::watcher"];

fn subscriber<W>(
    format: LogFormat,
    filter: &str,
    colors: bool,
    writer: W,
) -> Result<impl Subscriber + Send + Sync, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let allowed = EnvFilter::try_new(filter).map_err(|source| LogError::Filter {
        filter: filter.to_owned(),
        source,
    })?;
    let lines = layer().with_ansi(colors);
    let lines = match format {
        LogFormat::Text => lines.fmt_fields(Plain).with_writer(writer).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_writer(Escaped(writer))
            .boxed(),
    };
    Ok(tracing_subscriber::registry()
        .with(allowed)
        .with(filter_fn(|metadata| !BODIES.contains(&metadata.target())))
        .with(lines))
}

/// Formats fields and messages as sanitized text.
struct Plain;

impl<'writer> FormatFields<'writer> for Plain {
    fn format_fields<R: RecordFields>(&self, mut to: Writer<'writer>, fields: R) -> fmt::Result {
        let mut text = String::new();
        DefaultFields::new().format_fields(Writer::new(&mut text), fields)?;
        to.write_str(&plain::plain(&text))
    }
}

/// Writes JSON lines without control characters.
struct Escaped<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Escaped<W> {
    type Writer = Escaped<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Escaped(self.0.make_writer())
    }
}

impl<W: io::Write> io::Write for Escaped<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.0.write_all(plain::json(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: &str) -> String {
        lines_of(format, filter, || {
            tracing::info!(object = "fleet/fw", outcome = "Deleted", "settled");
            tracing::debug!("a detail");
        })
    }

    fn lines_of(format: LogFormat, filter: &str, log: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = subscriber(format, filter, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_logged_panic_names_its_object_and_quotes_no_formatted_message() {
        let text = lines_of(LogFormat::Text, "info", || {
            let span = tracing::info_span!("pass", object = "fleet/fw");
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(tell_panic));
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                span.in_scope(|| {
                    let secret = String::from("\u{fc}-of-a-secret");
                    secret[1..].len()
                });
            }));
            std::panic::set_hook(before);
            panicked.unwrap_err();
        });
        assert!(
            text.contains("object=\"fleet/fw\"") && text.contains("logs.rs:"),
            "{text}"
        );
        assert!(!text.contains("of-a-secret"), "{text}");
    }

    #[test]
    fn logged_text_of_others_forges_no_line_and_controls_no_terminal() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = lines_of(format, "info", || {
                let hostile = plain::HOSTILE;
                let span = tracing::info_span!("pass", object = %hostile);
                span.in_scope(
                    || tracing::info!(said = %hostile, also = hostile, "heard {hostile}"),
                );
            });
            assert_eq!(plain::lines(&text), text);
            assert_eq!(text.lines().count(), 1, "{text}");
        }
    }

    #[test]
    fn json_lines_carry_their_fields_by_name() {
        let line: serde_json::Value =
            serde_json::from_str(&logged(LogFormat::Json, "info")).unwrap();
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "settled");
        assert_eq!(line["object"], "fleet/fw");
        assert_eq!(line["outcome"], "Deleted");
    }

    #[test]
    fn text_lines_are_plain_and_the_filter_decides_which() {
        let text = logged(LogFormat::Text, "info");
        assert!(text.contains("settled") && text.contains("object=\"fleet/fw\""));
        assert!(!text.contains("a detail") && !text.contains('\u{1b}'));
        assert!(logged(LogFormat::Text, "debug").contains("a detail"));
        assert_eq!(logged(LogFormat::Text, "off"), "");
    }

    #[test]
    fn an_invalid_filter_is_refused_with_what_is_allowed() {
        let error = init(LogFormat::Text, "info,=loud=")
            .unwrap_err()
            .to_string();
        assert!(error.contains("\"info,=loud=\"") && error.contains("such as info"));
    }
}
