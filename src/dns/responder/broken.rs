//! Answers of servers that are broken, or somebody else's.

use std::net::Ipv4Addr;

use hickory_resolver::proto::op::{Message, Query};
use hickory_resolver::proto::rr::rdata::{A, TXT};
use hickory_resolver::proto::rr::{RData, Record, RecordType};

use super::empty_answer;
use crate::dns::resolver::wire_name;

/// A record's owner behind the question: a pointer to the name in it (RFC 1035 4.1.4), its type, class IN, a time to live.
const fn record_head(pointer: [u8; 2], kind: u16) -> [u8; 10] {
    let [high, low] = kind.to_be_bytes();
    [pointer[0], pointer[1], high, low, 0, 1, 0, 0, 1, 44]
}

/// The name of the answer is a pointer to itself.
pub(super) fn looped_name(query: &Message) -> Option<Vec<u8>> {
    let (mut bytes, kind) = question(query)?;
    let [high, low] = u16::try_from(bytes.len()).ok()?.to_be_bytes();
    bytes.extend(record_head([0xc0 | high, low], kind));
    bytes.extend([0, 4, 192, 0, 2, 66]);
    Some(bytes)
}

/// The answer has less data than it says.
pub(super) fn bad_length(query: &Message) -> Option<Vec<u8>> {
    let (mut bytes, kind) = question(query)?;
    bytes.extend(record_head([0xc0, 12], kind));
    bytes.extend([0xff, 0xff, 192, 0]);
    Some(bytes)
}

/// The head of an answer with one record, and the question; the record is still to come.
fn question(query: &Message) -> Option<(Vec<u8>, u16)> {
    let mut bytes = empty_answer(query).to_vec().ok()?;
    *bytes.get_mut(7)? = 1;
    Some((bytes, query.queries.first()?.query_type().into()))
}

/// A right answer to a question that was not asked.
pub(super) fn other_question(query: &Message) -> Message {
    let mut other = query.clone();
    let name = wire_name("forged.example").unwrap_or_default();
    let kind = query.queries.first().map_or(RecordType::A, Query::query_type);
    other.queries = vec![Query::query(name.clone(), kind)];
    let mut message = empty_answer(&other);
    let data = match kind {
        RecordType::TXT => RData::TXT(TXT::new(vec!["v=spf1 +all".to_owned()])),
        _ => RData::A(A(Ipv4Addr::new(192, 0, 2, 66))),
    };
    message.add_answers([Record::from_rdata(name, 300, data)]);
    message
}

/// What somebody who does not see the query can send: the wrong id, or the wrong question.
pub(super) fn forged(query: &Message) -> Vec<Vec<u8>> {
    let mut guessed = empty_answer(query);
    guessed.metadata.id = guessed.metadata.id.wrapping_add(1);
    if let Some(question) = query.queries.first() {
        let data = match question.query_type() {
            RecordType::TXT => RData::TXT(TXT::new(vec!["v=spf1 +all".to_owned()])),
            _ => RData::A(A(Ipv4Addr::new(192, 0, 2, 66))),
        };
        guessed.add_answers([Record::from_rdata(question.name().clone(), 300, data)]);
    }
    [guessed, other_question(query)].iter().filter_map(|message| message.to_vec().ok()).collect()
}
