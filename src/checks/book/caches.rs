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
use crate::checks::records::{Reading, has_exists, not_found};
use crate::dns::{Exchange, Failure, Found, Kind, Records, reverse_name};

/// RFC 7208 4.6.4: further PTR names are not looked at.
const MAX_PTR_NAMES: usize = 10;

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
        if has_exists(&record) {
            self.pages().exists = true;
        }
        Some(record)
    }

    fn ipv4(&self, name: &str) -> Option<RecordSet<Ipv4Addr>> {
        self.addresses(Kind::A, name, |records| match records {
            Records::A(found) => found.clone(),
            _ => Vec::new(),
        })
    }

    fn ipv6(&self, name: &str) -> Option<RecordSet<Ipv6Addr>> {
        // RFC 7208 5.7: `exists` looks for IPv4 addresses only, but mail-auth goes on to ask for these. For an IPv4 client
        // nothing else asks for them; for an IPv6 client nothing else asked for IPv4 before.
        if self.client.is_none_or(|client| client.is_ipv4()) || self.lacks_ipv4(name) {
            return None;
        }
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

    /// SPF asks for the names of no address but the client's. RFC 7208 5.5: a failure is as if there were none.
    fn names_of_client(&self, _: &str) -> Option<RecordSet<Box<str>>> {
        let mut names = match self.find(Kind::Ptr, &reverse_name(self.client?)) {
            Some(Ok(answers)) => answers.records.to_texts(),
            _ => Vec::new(),
        };
        names.truncate(MAX_PTR_NAMES);
        Some(record_set(names.into_iter().map(String::into_boxed_str).collect()))
    }

    /// Addresses; when there are none, what to say depends on who asks.
    ///
    /// An empty set is as good as none for whoever looks for a match, but `exists` and DMARC's `np` ask whether there is a
    /// set. They are told nothing, so that mail-auth asks the resolver below, which still has the same answer.
    fn addresses<T>(
        &self,
        kind: Kind,
        name: &str,
        read: impl FnOnce(&Records) -> Vec<T>,
    ) -> Option<RecordSet<T>> {
        match self.find_hosts(kind, name) {
            Some(Ok(answers)) => Some(record_set(read(&answers.records))),
            Some(Err(Failure::NoData | Failure::NxDomain))
                if self.reading == Reading::Dmarc || self.pages().exists =>
            {
                None
            }
            Some(Err(_)) | None => Some(record_set(Vec::new())),
        }
    }

    /// As [`find`](Self::find), for addresses and mail exchangers: counts what finds nothing.
    fn find_hosts(&self, kind: Kind, name: &str) -> Option<Found> {
        let found = self.find(kind, name)?;
        match found {
            Ok(_) => {}
            Err(Failure::Temporary(_)) => self.pages().run.failed = true,
            Err(Failure::NoData | Failure::NxDomain) => {
                let ask = (kind, name.to_owned());
                let mut pages = self.pages();
                if !pages.run.voids.contains(&ask) {
                    pages.run.voids.push(ask);
                }
            }
        }
        Some(found)
    }

    fn lacks_ipv4(&self, name: &str) -> bool {
        let ask = (Kind::A, name.strip_suffix('.').unwrap_or(name).to_owned());
        self.pages().known.get(&ask).is_some_and(Result::is_err)
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
