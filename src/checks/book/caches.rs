//! A book as the caches that mail-auth takes.
//!
//! What the run misses is answered in a way that goes on or ends without asking anyone: the run is void anyway.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use mail_auth::hickory_resolver::proto::op::ResponseCode;
use mail_auth::{DnsError, DnssecStatus, Error, MX, RecordSet, ResolverCache, Txt};

use super::Book;
use crate::checks::records::not_found;
use crate::dns::{Exchange, Failure, Found, Kind, Records};

/// mail-auth's cache trait for one type of record, answered by a method of the book. mail-auth stores nothing.
macro_rules! cache {
    ($key:ty => $value:ty, $answer:ident) => {
        impl ResolverCache<$key, $value> for Book<'_> {
            fn get<Q>(&self, name: &Q) -> Option<$value>
            where
                $key: Borrow<Q>,
                Q: Hash + Eq + ?Sized,
            {
                self.$answer(&spelled(name))
            }

            fn remove<Q>(&self, _: &Q) -> Option<$value>
            where
                $key: Borrow<Q>,
                Q: Hash + Eq + ?Sized,
            {
                None
            }

            fn insert(&self, _: $key, _: $value, _: Instant) {}
        }
    };
}

cache!(Box<str> => Txt, text);
cache!(Box<str> => RecordSet<Ipv4Addr>, ipv4);
cache!(Box<str> => RecordSet<Ipv6Addr>, ipv6);
cache!(Box<str> => RecordSet<MX>, exchangers);
cache!(IpAddr => RecordSet<Box<str>>, names_of_client);

impl Book<'_> {
    fn text(&self, name: &str) -> Option<Txt> {
        let record = match self.find(Kind::Txt, name) {
            Some(Ok(answers)) => self.reading.read(answers.records.texts()),
            Some(Err(Failure::NoData)) => Txt::Error(not_found(ResponseCode::NoError)),
            Some(Err(Failure::NxDomain)) => Txt::Error(not_found(ResponseCode::NXDomain)),
            Some(Err(Failure::Temporary(trouble))) => unknown(trouble.name()),
            None => unknown("not looked up yet"),
        };
        Some(record)
    }

    fn ipv4(&self, name: &str) -> Option<RecordSet<Ipv4Addr>> {
        self.addresses(Kind::A, name, |records| match records {
            Records::A(found) => found.clone(),
            _ => Vec::new(),
        })
    }

    fn ipv6(&self, name: &str) -> Option<RecordSet<Ipv6Addr>> {
        self.addresses(Kind::Aaaa, name, |records| match records {
            Records::Aaaa(found) => found.clone(),
            _ => Vec::new(),
        })
    }

    fn exchangers(&self, name: &str) -> Option<RecordSet<MX>> {
        let hosts = match self.find_hosts(Kind::Mx, name) {
            Some(Ok(answers)) => match &answers.records {
                Records::Mx(found) => found.iter().filter(|mx| !mx.host.is_empty()).map(exchanger).collect(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        Some(record_set(hosts))
    }

    /// Only SPF asks for the names of an address, and SPF is not mail-auth's.
    fn names_of_client(&self, _: &str) -> Option<RecordSet<Box<str>>> {
        Some(record_set(Vec::new()))
    }

    /// Addresses; when there are none, what to say depends on who asks.
    ///
    /// DMARC's `np` asks whether there is a set at all. It is told nothing, so that mail-auth asks the resolver below, which still has the same answer.
    fn addresses<T>(
        &self,
        kind: Kind,
        name: &str,
        read: impl FnOnce(&Records) -> Vec<T>,
    ) -> Option<RecordSet<T>> {
        match self.find_hosts(kind, name) {
            Some(Ok(answers)) => Some(record_set(read(&answers.records))),
            Some(Err(Failure::NoData | Failure::NxDomain)) => None,
            Some(Err(Failure::Temporary(_))) | None => Some(record_set(Vec::new())),
        }
    }

    /// As [`find`](Self::find), for addresses and mail exchangers, whose failures mail-auth's caches cannot say.
    fn find_hosts(&self, kind: Kind, name: &str) -> Option<Found> {
        let found = self.find(kind, name)?;
        if matches!(found, Err(Failure::Temporary(_))) {
            self.pages().run.failed = true;
        }
        Some(found)
    }
}

fn exchanger(mx: &Exchange) -> MX {
    MX { exchanges: Box::new([mx.host.clone().into_boxed_str()]), preference: mx.preference }
}

fn record_set<T>(records: Vec<T>) -> RecordSet<T> {
    RecordSet { rrset: records.into(), dnssec_status: DnssecStatus::Indeterminate }
}

/// What mail-auth takes for a temporary failure.
fn unknown(why: &str) -> Txt {
    Txt::Error(Error::Dns(DnsError::Resolver(why.to_owned())))
}

/// The name that mail-auth asks for.
///
/// Its trait hands over a `str` that may only be hashed and compared. Hashing a `str` feeds its bytes and an end mark to the
/// hasher, so a hasher that keeps what it is fed has the name. (Were it ever otherwise, no name would be found: the check
/// would end without a pass, and the tests with it.)
fn spelled<Q: Hash + ?Sized>(name: &Q) -> String {
    let mut spelling = Spelling::default();
    name.hash(&mut spelling);
    spelling.0.pop();
    String::from_utf8_lossy(&spelling.0).into_owned()
}

#[derive(Default)]
struct Spelling(Vec<u8>);

impl Hasher for Spelling {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_read_back_from_its_hash() {
        for name in ["", "a", "example.org.", "xn--bcher-kva.example.", "bücher.example"] {
            assert_eq!(spelled::<str>(name), name);
        }
    }
}
