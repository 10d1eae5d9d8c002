//! The quarantine: a folder with its bounds, or an address.

use std::path::PathBuf;
use std::time::Duration;

use super::super::raw;
use super::super::read::Placed;
use super::super::ready::Quarantine;
use super::super::report::Report;
use super::{duration, size};
use crate::quarantine::Settings;
use crate::smtp::path::{ForwardPath, Mailbox};

/// How long a message is kept: long enough for somebody to come back from a holiday.
const MAX_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What the section says. An address is given apart, as it is the sessions' to know.
pub(in super::super) fn quarantine(
    raw: &Placed<raw::Quarantine>,
    report: &mut Report,
) -> (Option<Quarantine>, Option<ForwardPath>) {
    let raw::Quarantine { dir, max_age, max_size, address } = &raw.value;
    match (dir, address) {
        (Some(_), Some(address)) => {
            let help = "`dir` keeps messages on this machine, `address` sends them to a mailbox; keep one";
            report.error_with_help(address.place, "`dir` and `address` cannot stand together", help);
            (None, None)
        }
        (None, None) => {
            let help = "name a folder as `dir: PATH`, or a mailbox as `address: quarantine@example.org`";
            report.error_with_help(raw.place, "the quarantine has no place", help);
            (None, None)
        }
        (None, Some(address)) => {
            let bounds = [max_age.as_ref().map(|it| it.place), max_size.as_ref().map(|it| it.place)];
            for place in bounds.into_iter().flatten() {
                let message = "this bounds a folder, and the quarantine is an address";
                report.warning(place, message, "leave it out");
            }
            let address = mailbox(address, report);
            (address.is_some().then_some(Quarantine::Address), address)
        }
        (Some(dir), None) => {
            let settings = Settings {
                dir: report.resolve(&PathBuf::from(&dir.value)),
                max_age: duration(
                    max_age.clone(),
                    MAX_AGE,
                    Duration::from_secs(60),
                    10 * 366 * 24 * 60 * 60,
                    report,
                ),
                max_size: size(max_size.clone(), 1 << 30, 1 << 20, 1 << 44, report),
            };
            (Some(Quarantine::Folder(settings)), None)
        }
    }
}

fn mailbox(address: &Placed<String>, report: &mut Report) -> Option<ForwardPath> {
    match Mailbox::parse(&address.value) {
        Ok(mailbox) if address.value.is_ascii() => Some(ForwardPath::Mailbox(mailbox)),
        Ok(_) => {
            report.error(address.place, "the address must be ASCII: not every message comes under SMTPUTF8");
            None
        }
        Err(error) => {
            let help = "write it as `quarantine@example.org`";
            report.error_with_help(address.place, format!("`{}`: {error}", address.value), help);
            None
        }
    }
}
