//! The message as it goes to the upstream: what arrived, without what claims to be ours, with what we and the policies add.

use bytes::Bytes;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::Listener;
use super::intake::Received;
use super::judge::Checked;
use super::scene::Connection;
use crate::checks::authres::{self, Findings};
use crate::message::edit::{Edits, NewField};
use crate::message::header::Header;
use crate::message::spool::Outgoing;
use crate::message::stamp::{self, Protocol, Tls};
use crate::policy::judgement::{Effects, HeaderEdit};
use crate::session::{Hello, Transaction};
use crate::smtp::command::RcptCommand;

/// Everything that the fields of a message are made of.
#[derive(Debug)]
pub(super) struct Stamps<'a> {
    pub(super) listener: &'a Listener,
    pub(super) connection: &'a Connection,
    pub(super) hello: &'a Hello,
    pub(super) transaction: &'a Transaction,
    pub(super) checked: &'a Checked,
    pub(super) additions: &'a Additions,
    /// The client's verified name.
    pub(super) client_name: Option<&'a str>,
    /// Whether the client has logged in.
    pub(super) authenticated: bool,
}

/// What policies add to a message.
#[derive(Debug, Default)]
pub(super) struct Additions {
    /// Header edits of the `message` stage.
    pub(super) effects: Effects,
    /// Tags of the whole transaction, name and value.
    pub(super) tags: Vec<(String, String)>,
}

/// The message for the upstream.
pub(super) fn prepare(received: Received, stamps: &Stamps<'_>) -> Outgoing {
    let header = &received.header;
    let mut edits = Edits::default();
    for field in stamp::forged(header, &stamps.listener.authserv_id) {
        edits.remove(field);
    }
    if let Some(received_spf) = stamps.received_spf() {
        edits.prepend(received_spf);
    }
    edits.prepend(stamps.received());
    let found = stamps.authentication_results();
    if let Some(found) = &found {
        edits.prepend(found.clone());
    }
    stamps.add_tags(&mut edits);
    stamps.add_policy_edits(header, &mut edits);
    let rendered = edits.render(header, received.size > 0);
    let seal = found.and_then(|found| stamps.seal(&rendered, &found.value()));
    Outgoing { header: sealed(rendered, seal), body: received.body }
}

fn sealed(header: Bytes, seal: Option<[NewField; 3]>) -> Bytes {
    let Some(seal) = seal else { return header };
    let fields = seal.iter().map(NewField::as_bytes);
    fields.chain([&*header]).collect::<Vec<_>>().concat().into()
}

impl Stamps<'_> {
    fn received(&self) -> NewField {
        let tls = self.connection.tls.as_ref();
        let protocol = match (self.hello.extended, tls, self.authenticated) {
            (false, ..) => Protocol::Smtp,
            (true, None, false) => Protocol::Esmtp,
            (true, Some(_), false) => Protocol::Esmtps,
            (true, None, true) => Protocol::Esmtpa,
            (true, Some(_), true) => Protocol::Esmtpsa,
        };
        let utf8 = self.transaction.mail.params.smtputf8;
        stamp::Received {
            helo: Some(&self.hello.greeting.text),
            client_ip: self.connection.peer.ip,
            client_name: self.client_name,
            by: &self.listener.terms.hostname,
            protocol: if utf8 { protocol.under_smtputf8() } else { protocol },
            id: &self.connection.transaction,
            recipient: self.only_recipient().map(|rcpt| &rcpt.path),
            tls: tls.map(|info| Tls {
                version: info.version,
                cipher: &info.cipher,
                group: info.group.as_deref(),
            }),
            at: &self.now(),
        }
        .field()
    }

    /// `None` only for an authserv-id that no field can hold, which the configuration does not let through.
    fn authentication_results(&self) -> Option<NewField> {
        authres::authentication_results(&self.listener.authserv_id, &self.findings()).ok()
    }

    /// `None` unless it is wanted.
    fn received_spf(&self) -> Option<NewField> {
        let wanted = self.listener.received_spf;
        wanted.then(|| authres::received_spf(&self.listener.terms.hostname, &self.findings())).flatten()
    }

    fn findings(&self) -> Findings<'_> {
        Findings {
            client: self.connection.peer.ip,
            client_name: self.client_name.unwrap_or_default(),
            helo: &self.hello.greeting.text,
            helo_spf: self.checked.helo_spf.as_deref(),
            sender: &self.transaction.mail.path,
            spf: self.checked.spf.as_deref(),
            results: self.checked.message.as_deref(),
            disposition: self.checked.disposition,
            dmarc_override: self.additions.effects.dmarc_override.as_deref(),
        }
    }

    /// Of the header as it goes out. One that ends without an empty line ends where its reader finds the first line that is no
    /// field; what such a reader would hash, we cannot know.
    fn seal(&self, rendered: &Bytes, results: &str) -> Option<[NewField; 3]> {
        let state = self.checked.message.as_ref()?.sealable.as_ref()?;
        let header =
            Header::of_message(rendered, rendered.len()).filter(|header| !header.separator().is_empty())?;
        self.listener.facts.seal(&header, state, results)
    }

    /// The time of day, in UTC: a log and a header should not need the zone of the machine to be compared.
    fn now(&self) -> Zoned {
        let now = Timestamp::try_from(self.listener.facts.now()).unwrap_or_default();
        now.to_zoned(TimeZone::UTC)
    }

    /// The recipient of a message that has one: naming several would tell each of the others (RFC 5321 7.2).
    fn only_recipient(&self) -> Option<&RcptCommand> {
        match self.transaction.recipients.as_slice() {
            [one] if self.is_whole() => Some(one),
            _ => None,
        }
    }

    /// Whether nobody else was to get the message.
    fn is_whole(&self) -> bool {
        let Transaction { discarded, quarantined, stand_in, rearranged, .. } = self.transaction;
        discarded.is_empty() && quarantined.is_empty() && stand_in.is_none() && !rearranged
    }

    fn add_tags(&self, edits: &mut Edits) {
        for (name, value) in &self.additions.tags {
            // A tag that makes no field was refused when the script set it.
            if let Ok(field) = NewField::text("X-Gatepost-Tag", &format!("{name}={value}")) {
                edits.prepend(field);
            }
        }
    }

    fn add_policy_edits(&self, header: &Header, edits: &mut Edits) {
        for edit in &self.additions.effects.headers {
            match edit {
                HeaderEdit::Prepend(field) => edits.prepend(field.clone()),
                HeaderEdit::Append(field) => edits.append(field.clone()),
                HeaderEdit::Remove(name) => header.named(name).for_each(|field| edits.remove(field.index())),
            }
        }
    }
}
