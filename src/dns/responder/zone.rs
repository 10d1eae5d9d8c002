//! What a responder knows: records by name, and where it misbehaves.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, NS, PTR, SOA, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::empty_answer;
use crate::dns::answer::Kind;
use crate::dns::resolver::{canonical, record_type, wire_name};

/// The time to live of records that say none, in seconds.
const DEFAULT_TTL: u32 = 300;
/// How many aliases are followed.
const MAX_ALIASES: usize = 8;
/// RFC 1035 3.3: a character string has at most so many octets.
const STRING_LEN: usize = 255;

/// Names with records and faults. Every name belongs to it: what it does not know does not exist.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    names: BTreeMap<String, Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    records: Vec<(RData, u32)>,
    faults: Vec<(Option<RecordType>, Fault)>,
}

/// A record's data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Data {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// Preference and host; the host `.` is the null MX.
    Mx(u16, String),
    /// A text, cut into strings of 255 octets.
    Txt(Vec<u8>),
    /// A text in exactly these strings, of at most 255 octets each.
    TxtParts(Vec<Vec<u8>>),
    /// A name.
    Ptr(String),
    /// An alias.
    Cname(String),
    /// A name server.
    Ns(String),
    /// The start of a zone: negative answers below carry it and may be kept for so many seconds (RFC 2308).
    Soa(u32),
}

/// How a responder misbehaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Says SERVFAIL.
    ServFail,
    /// Says REFUSED.
    Refused,
    /// Says nothing.
    Drop,
    /// Sends bytes that are no DNS message.
    Garbage,
    /// Answers under another id than the query's.
    WrongId,
    /// Says over UDP that the answer is too long.
    Truncate {
        /// It can be had over TCP; otherwise the connection is closed.
        tcp: bool,
    },
    /// Says that the answer is too long whatever the transport.
    TruncateAlways,
    /// Answers a question that nobody asked.
    OtherQuestion,
    /// Sends an answer under another id and one to another question, both with a false address, before the right one.
    Forged,
    /// The name in the answer points to itself (RFC 1035 4.1.4).
    LoopedName,
    /// The data of the answer claims to be longer than the message.
    BadLength,
    /// Answers rightly, but late.
    Delay(Duration),
}

/// A record's text cannot be understood.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DataError {
    /// The record type is none that the responder knows.
    #[error("unknown record type {0:?}: A, AAAA, MX, TXT, PTR, CNAME, NS and SOA are known")]
    Type(String),
    /// The data does not fit the type.
    #[error("{data:?} is no {kind} record")]
    Data {
        /// The type.
        kind: &'static str,
        /// The text that should have been its data.
        data: String,
    },
}

impl Data {
    /// Reads a record from text, as in a zone file: `A 192.0.2.1`, `MX 10 mx.example.org`, `TXT v=spf1 -all` (unquoted, to
    /// the end), `SOA 60` (only the time that negative answers live). The type in any case.
    ///
    /// # Errors
    /// The type is unknown or the data does not fit it.
    pub fn parse(kind: &str, data: &str) -> Result<Self, DataError> {
        let misfit = |kind| DataError::Data { kind, data: data.to_owned() };
        match kind.to_ascii_uppercase().as_str() {
            "A" => data.parse().map(Self::A).map_err(|_| misfit("A")),
            "AAAA" => data.parse().map(Self::Aaaa).map_err(|_| misfit("AAAA")),
            "MX" => {
                let (preference, host) = data.split_once(' ').ok_or_else(|| misfit("MX"))?;
                let preference = preference.parse().map_err(|_| misfit("MX"))?;
                Ok(Self::Mx(preference, host.trim().to_owned()))
            }
            "TXT" => Ok(Self::Txt(data.as_bytes().to_vec())),
            "PTR" => Ok(Self::Ptr(data.to_owned())),
            "CNAME" => Ok(Self::Cname(data.to_owned())),
            "NS" => Ok(Self::Ns(data.to_owned())),
            "SOA" => data.parse().map(Self::Soa).map_err(|_| misfit("SOA")),
            _ => Err(DataError::Type(kind.to_owned())),
        }
    }

    fn rdata(self) -> RData {
        match self {
            Self::A(ip) => RData::A(A(ip)),
            Self::Aaaa(ip) => RData::AAAA(AAAA(ip)),
            Self::Mx(preference, host) => RData::MX(MX::new(preference, name(&host))),
            Self::Txt(text) if text.is_empty() => RData::TXT(TXT::from_bytes(vec![b""])),
            Self::Txt(text) => RData::TXT(TXT::from_bytes(text.chunks(STRING_LEN).collect())),
            Self::TxtParts(parts) => {
                let parts = parts.iter().filter_map(|part| part.chunks(STRING_LEN).next().or(Some(b"")));
                RData::TXT(TXT::from_bytes(parts.collect()))
            }
            Self::Ptr(host) => RData::PTR(PTR(name(&host))),
            Self::Cname(host) => RData::CNAME(CNAME(name(&host))),
            Self::Ns(host) => RData::NS(NS(name(&host))),
            Self::Soa(ttl) => RData::SOA(SOA::new(name("ns"), name("hostmaster"), 1, 3600, 600, 86_400, ttl)),
        }
    }
}

impl Zone {
    /// A zone without names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a record that may be kept for five minutes.
    pub fn add(&mut self, name: &str, data: Data) -> &mut Self {
        self.add_with_ttl(name, DEFAULT_TTL, data)
    }

    /// Adds a record with its time to live in seconds.
    pub fn add_with_ttl(&mut self, name: &str, ttl: u32, data: Data) -> &mut Self {
        self.node(name).records.push((data.rdata(), ttl));
        self
    }

    /// Adds a text record.
    pub fn txt(&mut self, name: &str, text: &str) -> &mut Self {
        self.add(name, Data::Txt(text.as_bytes().to_vec()))
    }

    /// From now on misbehaves when asked for `name`, for whatever type.
    pub fn fault(&mut self, name: &str, fault: Fault) -> &mut Self {
        self.node(name).faults.push((None, fault));
        self
    }

    /// From now on misbehaves when asked for `name` and this type.
    pub fn fault_for(&mut self, name: &str, kind: Kind, fault: Fault) -> &mut Self {
        self.node(name).faults.push((Some(record_type(kind)), fault));
        self
    }

    /// Behaves again when asked for `name`.
    pub fn heal(&mut self, name: &str) -> &mut Self {
        self.node(name).faults.clear();
        self
    }

    /// Forgets a name with its records and faults.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.names.remove(&key(name));
        self
    }

    fn node(&mut self, name: &str) -> &mut Node {
        self.names.entry(key(name)).or_default()
    }

    pub(super) fn fault_of(&self, query: &Query) -> Option<Fault> {
        let node = self.names.get(&canonical(&query.name().to_ascii()))?;
        let hits = |kind: &Option<RecordType>| kind.is_none_or(|kind| kind == query.query_type());
        node.faults.iter().rev().find(|(kind, _)| hits(kind)).map(|(_, fault)| *fault)
    }

    /// The answer of a server that behaves.
    pub(super) fn answer(&self, query: &Message) -> Message {
        let mut message = empty_answer(query);
        let Some(question) = query.queries.first() else {
            return message;
        };
        let mut owner = question.name().clone();
        for _ in 0..MAX_ALIASES {
            let alias = match self.records_of(&owner, question.query_type()) {
                Ok((records, alias)) => {
                    message.add_answers(records);
                    alias
                }
                Err(code) => {
                    message.metadata.response_code = code;
                    message.add_authorities(self.start_of_authority(&owner));
                    None
                }
            };
            match alias {
                Some(target) => owner = target,
                None => break,
            }
        }
        message
    }

    /// The records of one name and type; or else its alias and the name that it stands for.
    fn records_of(
        &self,
        owner: &Name,
        kind: RecordType,
    ) -> Result<(Vec<Record>, Option<Name>), ResponseCode> {
        let key = canonical(&owner.to_ascii());
        let Some(node) = self.names.get(&key) else {
            return Err(self.absence(&key));
        };
        let records = |kind| {
            let of_kind = node.records.iter().filter(move |(data, _)| data.record_type() == kind);
            of_kind
                .map(|(data, ttl)| Record::from_rdata(owner.clone(), *ttl, data.clone()))
                .collect::<Vec<_>>()
        };
        let found = records(kind);
        if !found.is_empty() {
            return Ok((found, None));
        }
        let alias = records(RecordType::CNAME);
        match alias.first().map(|record| &record.data) {
            Some(RData::CNAME(target)) => {
                let target = target.0.clone();
                Ok((alias, Some(target)))
            }
            _ => Err(ResponseCode::NoError),
        }
    }

    /// RFC 8020: a name with names below it exists, even without records.
    fn absence(&self, name: &str) -> ResponseCode {
        let below = format!(".{name}");
        if self.names.keys().any(|other| other.ends_with(&below)) {
            ResponseCode::NoError
        } else {
            ResponseCode::NXDomain
        }
    }

    /// The SOA record of the closest zone above `owner`, if there is one.
    fn start_of_authority(&self, owner: &Name) -> Option<Record> {
        let mut zone = owner.clone();
        loop {
            if let Some(node) = self.names.get(&canonical(&zone.to_ascii())) {
                let soa = node.records.iter().find(|(data, _)| data.record_type() == RecordType::SOA);
                if let Some((data, ttl)) = soa {
                    return Some(Record::from_rdata(zone, *ttl, data.clone()));
                }
            }
            if zone.is_root() {
                return None;
            }
            zone = zone.base_name();
        }
    }
}

/// The name as a query spells it, odd octets escaped.
fn key(name: &str) -> String {
    wire_name(name).map_or_else(|| canonical(name), |name| canonical(&name.to_ascii()))
}

/// A name for the wire; the root when the text is none, so that a broken test zone is seen and does not panic.
fn name(text: &str) -> Name {
    wire_name(text).unwrap_or_else(Name::root)
}
