//! The suites of others and of our own that lie in tests/suites.

#[path = "../../tests/suites/read.rs"]
mod read;

pub(super) use self::read::{SpfCase, crlf, file, own, scenarios, signed};
use crate::dns::Kind;
use crate::dns::responder::{Data, Fault, Zone};
