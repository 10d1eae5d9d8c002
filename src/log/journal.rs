//! Lines for systemd's journal: each begins with its priority, and the journal has the time.

use std::fmt;
use std::os::fd::AsFd;

use rustix::fs::fstat;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Whether `stream` leads to the journal, as systemd says in `JOURNAL_STREAM` (systemd.exec(5)): the device and the inode of the
/// socket. A stream that was led elsewhere since is another.
pub(super) fn is_reached_by(stream: impl AsFd, said: Option<&str>) -> bool {
    let Some((device, inode)) = said.and_then(|said| said.split_once(':')) else { return false };
    let Ok(stat) = fstat(stream) else { return false };
    device.parse() == Ok(stat.st_dev) && inode.parse() == Ok(stat.st_ino)
}

/// Writes the priority of a line before it, as sd-daemon(3) has them: `<6>`.
#[derive(Debug)]
pub(super) struct Prioritized<F> {
    format: F,
    wanted: bool,
}

impl<F> Prioritized<F> {
    /// As `format` writes it; with a priority if it is `wanted`.
    pub(super) const fn new(format: F, wanted: bool) -> Self {
        Self { format, wanted }
    }
}

impl<S, N, F> FormatEvent<S, N> for Prioritized<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if self.wanted {
            write!(writer, "<{}>", priority(*event.metadata().level()))?;
        }
        self.format.format_event(context, writer, event)
    }
}

/// The priority of syslog (RFC 5424 6.2.1).
const fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_known_by_its_socket() {
        let file = tempfile::tempfile().unwrap();
        let stat = fstat(&file).unwrap();
        let said = format!("{}:{}", stat.st_dev, stat.st_ino);
        assert!(is_reached_by(&file, Some(&said)));
        let other = format!("{}:{}", stat.st_dev, stat.st_ino + 1);
        for wrong in [None, Some(""), Some("8"), Some("a:b"), Some(other.as_str())] {
            assert!(!is_reached_by(&file, wrong), "{wrong:?}");
        }
    }
}
