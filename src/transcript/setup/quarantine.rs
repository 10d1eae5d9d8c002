//! The quarantine as a transcript sets it.

use super::super::words::{Mistake, Words};
use crate::smtp::path::{ForwardPath, Mailbox};

/// Where mail is kept that policies keep back.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(in crate::transcript) enum QuarantineSetup {
    /// There is no such place.
    Off,
    /// A folder.
    #[default]
    Folder,
    /// A folder of at most so many octets.
    AtMost(u64),
    /// A folder that cannot be written.
    Broken,
    /// An address, by way of the upstream.
    Address(ForwardPath),
}

impl QuarantineSetup {
    /// `quarantine off`, `quarantine broken`, `quarantine max_size 1MiB` or `quarantine address spam@example.org`.
    pub(super) fn read(words: &mut Words<'_>) -> Result<Self, Mistake> {
        let word = words.expect("`off`, `broken`, `max_size` or `address`")?;
        Ok(match word.text {
            "off" => Self::Off,
            "broken" => Self::Broken,
            "max_size" => Self::AtMost(words.expect("a size")?.bytes()?),
            "address" => {
                let word = words.expect("an address")?;
                let mailbox = Mailbox::parse(word.text).map_err(|error| word.mistake(error.to_string()))?;
                Self::Address(ForwardPath::Mailbox(mailbox))
            }
            _ => {
                return Err(Mistake::unknown("quarantine", word, ["off", "broken", "max_size", "address"]));
            }
        })
    }
}
