//! The simulated DNS of a transcript.

use std::net::IpAddr;

use super::words::{Mistake, Word, Words};
use crate::dns::responder::{Data, Fault, Zone};
use crate::dns::{Kind, reverse_name};

/// One change to the simulated DNS.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum DnsChange {
    Add(String, Data),
    /// The name misbehaves, for this type or for all.
    Fault(String, Option<Kind>, Fault),
    /// The name is not there.
    Remove(String),
}

impl DnsChange {
    /// Reads `NAME TYPE VALUE`, where NAME may be an address, and VALUE a fault.
    pub(super) fn read(words: &mut Words<'_>) -> Result<Self, Mistake> {
        let name = words.expect("a name")?;
        let name = match name.text.parse::<IpAddr>() {
            Ok(ip) => reverse_name(ip),
            Err(_) => name.text.to_owned(),
        };
        let kind = words.expect("a record type")?;
        let word = words.peek().trim_end();
        if word == "nxdomain" {
            words.rest();
            return Ok(Self::Remove(name));
        }
        if let Some((_, fault)) = FAULTS.iter().find(|(known, _)| *known == word) {
            words.rest();
            return Ok(Self::Fault(name, fault_kind(kind)?, *fault));
        }
        let value = words.rest();
        if kind.text == "*" {
            let known = FAULTS.map(|(known, _)| known).join(", ");
            return Err(value.mistake("with `*` goes a fault").with_help(format!("nxdomain, {known}")));
        }
        let data = Data::parse(kind.text, value.text).map_err(|e| value.mistake(e.to_string()))?;
        Ok(Self::Add(name, data))
    }

    pub(super) fn apply(&self, zone: &mut Zone) {
        match self {
            Self::Add(name, data) => zone.add(name, data.clone()),
            Self::Fault(name, Some(kind), fault) => zone.fault_for(name, *kind, *fault),
            Self::Fault(name, None, fault) => zone.fault(name, *fault),
            Self::Remove(name) => zone.remove(name),
        };
    }
}

const FAULTS: [(&str, Fault); 6] = [
    ("servfail", Fault::ServFail),
    ("refused", Fault::Refused),
    ("timeout", Fault::Drop),
    ("garbage", Fault::Garbage),
    ("wrong-id", Fault::WrongId),
    ("truncated", Fault::Truncate { tcp: false }),
];

/// The type for which a name misbehaves; `*` for all.
fn fault_kind(word: Word<'_>) -> Result<Option<Kind>, Mistake> {
    if word.text == "*" {
        return Ok(None);
    }
    let found = Kind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(word.text));
    let names = Kind::ALL.map(Kind::name).into_iter().chain(["*"]);
    found.map(Some).ok_or_else(|| Mistake::unknown("record type", word, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_records_and_faults() {
        let add = |name: &str, data| DnsChange::Add(name.to_owned(), data);
        let cases = [
            ("A.test A 192.0.2.1", add("A.test", Data::A("192.0.2.1".parse().unwrap()))),
            ("a.test MX 10 mail.a.test", add("a.test", Data::Mx(10, "mail.a.test".to_owned()))),
            ("a.test TXT v=spf1 mx -all", add("a.test", Data::Txt(b"v=spf1 mx -all".to_vec()))),
            ("192.0.2.1 PTR b.test", add("1.2.0.192.in-addr.arpa", Data::Ptr("b.test".to_owned()))),
            ("a.test TXT servfail", DnsChange::Fault("a.test".to_owned(), Some(Kind::Txt), Fault::ServFail)),
            ("a.test * timeout", DnsChange::Fault("a.test".to_owned(), None, Fault::Drop)),
            ("a.test * nxdomain", DnsChange::Remove("a.test".to_owned())),
        ];
        for (text, change) in cases {
            assert_eq!(DnsChange::read(&mut Words::new(text, 1, 1)), Ok(change), "{text}");
        }
    }
}
