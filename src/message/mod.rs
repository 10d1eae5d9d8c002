//! The received message: its header as it arrived, what Gatepost adds and removes, and where the body waits.
//!
//! A message takes this way through the room:
//!
//! 1. [`header::HeaderScanner`] takes the first pieces until the header is complete, long before the body is.
//! 2. [`spool::Spool`] takes the rest: memory first, then an unlinked file.
//! 3. [`from`] reads addresses, subject and date out of the [`header::Header`]; nothing is ever written back from there.
//! 4. [`mime`] looks into the message that is all there: parts, attachments, archives, URLs.
//! 5. [`stamp`] says which arriving fields must not survive and builds `Received`; [`edit::Edits`] renders the new header.
//! 6. [`spool::Outgoing`] reads as the one message that goes upstream, as often as a reconnect needs it.
//!
//! **Invariant: bytes are sacred.** Whatever [`edit::Edits`] does not name leaves the room as it came in: 8-bit octets, long
//! lines, odd folding and all. The only octets ever invented are those of added fields, a line end in front of an appended
//! field if the message stopped in the middle of a line, and one empty line under fields added to a message that had no
//! header at all.

pub mod edit;
pub mod from;
pub mod header;
pub mod mime;
pub mod spool;
pub mod stamp;
