//! Records as they stand in the file: a version, and numbers of fixed width, big end first.

use super::super::greylist::{Client, Pair};
use super::super::operation::{Limit, Millis};
use super::super::window::{SLOTS, Window, expires};
use super::table::Record;

/// The version of what is written here.
const VERSION: u8 = 1;

/// How a record is written down and read again.
pub(super) trait Stored: Record + Sized {
    /// The table's name in the file and in metrics.
    const TABLE: &'static str;

    fn write(&self, to: &mut Vec<u8>);

    /// `None` for what no record can be.
    fn read(from: &mut Numbers<'_>) -> Option<Self>;

    /// The record in octets.
    fn to_octets(&self) -> Vec<u8> {
        let mut octets = vec![VERSION];
        self.write(&mut octets);
        octets
    }

    /// The record that `octets` are; `None` where they are damaged, or of another version.
    fn from_octets(octets: &[u8]) -> Option<Self> {
        let mut numbers = Numbers(octets);
        if numbers.octet()? != VERSION {
            return None;
        }
        let record = Self::read(&mut numbers)?;
        numbers.0.is_empty().then_some(record)
    }
}

/// Octets that are read from their front.
pub(super) struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    fn octet(&mut self) -> Option<u8> {
        self.array::<1>().map(u8::from_be_bytes)
    }

    fn count(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn time(&mut self) -> Option<Millis> {
        self.array().map(u64::from_be_bytes)
    }
}

/// What is kept under a greylist's key: of a pair, or of a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Grey {
    Pair(Pair),
    Client(Client),
}

impl Record for Grey {
    fn expires(&self) -> Millis {
        match self {
            Self::Pair(pair) => pair.expires,
            Self::Client(client) => client.expires,
        }
    }

    fn extent(&self) -> usize {
        0
    }
}

impl Stored for Grey {
    const TABLE: &'static str = "greylist";

    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Pair(pair) => {
                to.push(u8::from(pair.passed));
                to.extend(pair.first.to_be_bytes());
                to.extend(pair.expires.to_be_bytes());
            }
            Self::Client(client) => {
                to.push(CLIENT);
                to.extend(client.passes.to_be_bytes());
                to.extend(client.expires.to_be_bytes());
            }
        }
    }

    fn read(from: &mut Numbers<'_>) -> Option<Self> {
        match from.octet()? {
            CLIENT => Some(Self::Client(Client { passes: from.count()?, expires: from.time()? })),
            passed @ (0 | 1) => {
                Some(Self::Pair(Pair { passed: passed == 1, first: from.time()?, expires: from.time()? }))
            }
            _ => None,
        }
    }
}

/// The kind of a client's record; pairs have 0 or 1.
const CLIENT: u8 = 2;

/// The windows of a rate.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Windows(pub(super) Vec<Window>);

impl Record for Windows {
    fn expires(&self) -> Millis {
        expires(&self.0)
    }

    fn extent(&self) -> usize {
        let slots: usize = self.0.iter().map(|window| window.slots.capacity()).sum();
        self.0.capacity() * size_of::<Window>() + slots * size_of::<(u64, u32)>()
    }
}

impl Stored for Windows {
    const TABLE: &'static str = "rate";

    fn write(&self, to: &mut Vec<u8>) {
        for window in &self.0 {
            to.extend(window.period.to_be_bytes());
            to.push(u8::try_from(window.slots.len()).unwrap_or(u8::MAX));
            for (slot, count) in window.slots.iter().take(u8::MAX.into()) {
                to.extend(slot.to_be_bytes());
                to.extend(count.to_be_bytes());
            }
        }
    }

    fn read(from: &mut Numbers<'_>) -> Option<Self> {
        let mut windows = Vec::new();
        while !from.0.is_empty() && windows.len() < Limit::MOST {
            let period = from.time()?;
            let slots = from.octet()?;
            if u64::from(slots) > 2 * SLOTS + 2 {
                return None;
            }
            let slots: Option<Vec<_>> = (0..slots).map(|_| Some((from.time()?, from.count()?))).collect();
            windows.push(Window { period, slots: slots? });
        }
        Some(Self(windows))
    }
}

/// What `remember` keeps: that there was something, until then.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Kept(pub(super) Millis);

impl Record for Kept {
    fn expires(&self) -> Millis {
        self.0
    }

    fn extent(&self) -> usize {
        0
    }
}

impl Stored for Kept {
    const TABLE: &'static str = "memory";

    fn write(&self, to: &mut Vec<u8>) {
        to.extend(self.0.to_be_bytes());
    }

    fn read(from: &mut Numbers<'_>) -> Option<Self> {
        from.time().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn comes_back<R: Stored + PartialEq + std::fmt::Debug>(record: &R) {
        let octets = record.to_octets();
        assert_eq!(R::from_octets(&octets).as_ref(), Some(record));
        for cut in 0..octets.len() {
            // A record of several windows, cut between two, is a shorter one.
            assert_ne!(R::from_octets(octets.get(..cut).unwrap()).as_ref(), Some(record));
        }
    }

    #[test]
    fn every_kind_comes_back_and_none_comes_back_broken() {
        comes_back(&Grey::Pair(Pair { first: 1, passed: true, expires: u64::MAX }));
        comes_back(&Grey::Pair(Pair { first: 7, passed: false, expires: 9 }));
        comes_back(&Grey::Client(Client { passes: 5, expires: 9 }));
        comes_back(&Kept(1_800_000_000_000));
        let slots = vec![(1, 2), (3, 4)];
        let window = Window { period: 60_000, slots };
        comes_back(&Windows(vec![window.clone(), Window { period: 1_000, ..window }]));
    }

    proptest! {
        #[test]
        fn no_octets_are_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Grey::from_octets(&octets);
            let _ = Kept::from_octets(&octets);
            if let Some(windows) = Windows::from_octets(&octets) {
                let _ = windows.expires();
            }
        }
    }
}
