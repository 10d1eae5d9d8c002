//! What the operator reads beside the name of a limit or a breach: figures, and what the client said.

use super::stage::{Refusal, Violation};
use super::{Session, replies};

impl Session {
    /// SIZE is more than we take, or than the upstream does (RFC 1870 6.1).
    pub(super) fn declared_too_large(&self, declared: u64) -> Option<Refusal> {
        let ours = self.terms.limits.message_size;
        let taken = self.offers.size.unwrap_or(ours);
        let limit = if taken < ours { &replies::UPSTREAM_SIZE } else { &replies::MESSAGE_SIZE };
        let figures =
            || limit.because(format!("the client declared {declared} octets, and {taken} are taken"));
        (declared > taken).then(figures)
    }

    /// The refusal of a message of which so many octets came, or were to come.
    pub(super) fn too_large(&self, size: u64) -> Refusal {
        let figures = format!("the message has {size} octets or more, and {} are taken", self.size_limit());
        let mut refusal = replies::MESSAGE_SIZE.because(figures.clone());
        let by_policy = self.transaction.as_ref().and_then(|transaction| transaction.size_limit.as_ref());
        if let Some((limit, reason)) = by_policy
            && *limit < self.terms.limits.message_size
        {
            refusal.reason = reason.clone().with_detail(figures);
        }
        refusal
    }

    /// What the operator reads of a breach.
    pub(super) fn evidence_of(&self, event: Violation) -> String {
        let (counters, limits) = (&self.counters, &self.terms.limits);
        match event {
            Violation::TooManyErrors => {
                format!("{} commands had failed, and {} end the session", counters.errors, limits.errors)
            }
            Violation::JunkCommands => {
                let (junk, most) = (counters.junk, limits.junk_commands);
                format!("it was the {junk}th without mail in between, and {most} are allowed")
            }
            _ => self.evidence.to_owned(),
        }
    }
}

/// Octets of a command that the operator reads.
const MAX_SAID: usize = 200;

/// A command as the operator reads it. Whoever shows it escapes it, as all that strangers say.
pub(super) fn legible(line: &[u8]) -> String {
    String::from_utf8_lossy(line.get(..MAX_SAID).unwrap_or(line)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_can_be_read_and_has_an_end() {
        for (line, expected) in [
            (&b"MAIL FROM:<a b@x.example>"[..], "MAIL FROM:<a b@x.example>"),
            (b"RCPT TO:<\x1b[31mx\x07>", "RCPT TO:<\u{1b}[31mx\u{7}>"),
            ("EHLO bücher".as_bytes(), "EHLO bücher"),
            (b"EHLO \xff", "EHLO \u{fffd}"),
        ] {
            assert_eq!(legible(line), expected);
        }
        assert_eq!(legible(&[b'x'; 5_000]).len(), MAX_SAID);
    }
}
