//! What scripts see: plain data, filled in by whoever asks for a judgement.
//!
//! Texts are never absent: what is not there is empty. Domains and the HELO name are in lower case.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

use crate::message::header::Header;
use crate::session::stage::{Stage, Violation};
use crate::smtp::params::Param;
use crate::smtp::path::{Domain, ForwardPath, Mailbox, ReversePath};

/// A session at the moment at which policy is asked.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The session so far.
    pub session: Arc<SessionScene>,
    /// What is at stake.
    pub moment: Moment,
}

/// The stage, with what can be seen there beside the session.
#[derive(Clone, Debug)]
pub enum Moment {
    /// The connection was accepted.
    Connect,
    /// HELO or EHLO; its name is already in the session.
    Helo,
    /// The upstream accepted AUTH.
    Auth,
    /// MAIL FROM.
    Mail(Arc<MailScene>),
    /// One RCPT TO, which is not among the mail's recipients yet.
    Rcpt(Arc<MailScene>, Arc<RcptScene>),
    /// DATA or the first BDAT.
    Data(Arc<MailScene>),
    /// The whole message is there.
    Message(Arc<MailScene>, Arc<MessageScene>),
    /// The client broke the protocol.
    Violation(Violation),
    /// The session ended.
    Close,
}

impl Moment {
    /// The stage that it belongs to.
    pub const fn stage(&self) -> Stage {
        match self {
            Self::Connect => Stage::Connect,
            Self::Helo => Stage::Helo,
            Self::Auth => Stage::Auth,
            Self::Mail(_) => Stage::Mail,
            Self::Rcpt(..) => Stage::Rcpt,
            Self::Data(_) => Stage::Data,
            Self::Message(..) => Stage::Message,
            Self::Violation(_) => Stage::Violation,
            Self::Close => Stage::Close,
        }
    }

    /// The transaction, where there is one.
    pub const fn mail(&self) -> Option<&Arc<MailScene>> {
        match self {
            Self::Mail(mail) | Self::Rcpt(mail, _) | Self::Data(mail) | Self::Message(mail, _) => Some(mail),
            Self::Connect | Self::Helo | Self::Auth | Self::Violation(_) | Self::Close => None,
        }
    }
}

/// `session`.
#[derive(Clone, Debug)]
pub struct SessionScene {
    /// The session's id, as in the log.
    pub id: String,
    /// The listener's name, which also selects the policies.
    pub listener: Arc<str>,
    /// Our own host name, in lower case.
    pub hostname: Arc<str>,
    /// Who connected.
    pub client: ClientScene,
    /// Our own address, to which the client connected; `None` where it is not known.
    pub server_ip: Option<IpAddr>,
    /// What the client calls itself, in lower case and without a dot at its end; empty before HELO.
    pub helo: String,
    /// `HELO` or `EHLO`; empty before.
    pub helo_verb: &'static str,
    /// Whether the client is in one of the trusted networks.
    pub trusted: bool,
    /// Who authenticated.
    pub auth: AuthScene,
    /// The TLS connection; `None` in the clear.
    pub tls: Option<TlsScene>,
    /// Recipients refused in this session so far, by policy or upstream.
    pub recipients_refused: u64,
    /// Commands that failed in this session so far.
    pub errors: u64,
    /// Transactions begun in this session so far.
    pub transactions: u64,
}

impl SessionScene {
    /// Whether the client is one of ours: from a trusted network, or authenticated.
    pub fn is_inside(&self) -> bool {
        self.trusted || !self.auth.mechanism.is_empty()
    }

    /// Whether the client is one of ours, or runs on this host.
    pub fn is_local(&self) -> bool {
        self.is_inside() || self.client.ip.to_canonical().is_loopback()
    }
}

/// `session.client`.
#[derive(Clone, Debug)]
pub struct ClientScene {
    /// Its address; an IPv4-mapped one is given as IPv4.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// Its name in lower case, where somebody whom we trust verified it; empty otherwise, and then scripts ask for it as a fact.
    pub name: String,
}

/// The network of `ip` that one operator usually has: a /24 of IPv4, a /64 of IPv6.
pub fn client_network(ip: IpAddr) -> String {
    network_of(ip, 24, 64).unwrap_or_default()
}

/// The network of `ip` with the prefix of its family, such as `192.0.2.0/24`; `None` when that is too long.
pub(super) fn network_of(ip: IpAddr, v4: u8, v6: u8) -> Option<String> {
    let ip = ip.to_canonical();
    let prefix = if ip.is_ipv4() { v4 } else { v6 };
    IpNet::new(ip, prefix).ok().map(|network| network.trunc().to_string())
}

/// `session.auth`.
#[derive(Clone, Debug, Default)]
pub struct AuthScene {
    /// The login as it was said; empty before AUTH, and where the mechanism does not show it.
    pub user: String,
    /// The SASL mechanism, in lower case; empty before AUTH.
    pub mechanism: String,
}

/// `session.tls`.
#[derive(Clone, Debug, Default)]
pub struct TlsScene {
    /// Such as `TLSv1.3`.
    pub version: String,
    /// The cipher suite.
    pub cipher: String,
    /// The key exchange group, such as `X25519MLKEM768`.
    pub group: String,
    /// The server name that the client asked for, in lower case.
    pub sni: String,
    /// The first name in the client's certificate, in lower case.
    pub client_name: String,
    /// The whole subject of that certificate, such as `CN=mail.example.org, O=Example`.
    pub client_subject: String,
    /// SHA-256 of that certificate, in hexadecimal digits and lower case.
    pub client_fingerprint: String,
    /// Whether that certificate was issued by the listener's authority.
    pub verified: bool,
}

/// `mail`: the transaction.
#[derive(Clone, Debug)]
pub struct MailScene {
    /// The transaction's id, as in the log.
    pub id: String,
    /// The sender.
    pub sender: Address,
    /// SIZE as declared (RFC 1870), 0 when it was not; at `message` the true size.
    pub size: u64,
    /// `7bit`, `8bitmime` or `binarymime`.
    pub body: &'static str,
    /// Whether SMTPUTF8 was declared.
    pub smtputf8: bool,
    /// Whether REQUIRETLS was declared (RFC 8689).
    pub requiretls: bool,
    /// RET (RFC 3461): `full`, `hdrs` or empty.
    pub ret: &'static str,
    /// ENVID (RFC 3461) as it was written, in xtext.
    pub envid: String,
    /// The parameters of MAIL.
    pub parameters: Vec<Param>,
    /// The recipients accepted so far, by the upstream too.
    pub recipients: Vec<Arc<RcptScene>>,
    /// The recipients that a policy discarded.
    pub discarded: Vec<Arc<RcptScene>>,
    /// The recipients whose copy is for the quarantine.
    pub quarantined: Vec<Arc<RcptScene>>,
}

/// `rcpt`: one recipient.
#[derive(Clone, Debug, Default)]
pub struct RcptScene {
    /// Its address.
    pub address: Address,
    /// Whether its domain is one of ours; `<postmaster>` without a domain is.
    pub is_ours: bool,
    /// NOTIFY (RFC 3461) in lower case: `never`, or of `success,failure,delay` those that were named.
    pub notify: String,
    /// ORCPT (RFC 3461) as it was written, in xtext.
    pub orcpt: String,
}

/// `message`.
#[derive(Debug)]
pub struct MessageScene {
    /// Its size in octets.
    pub size: u64,
    /// Its header, as it arrived; where it is [partial](Self::partial), what is left of it.
    pub header: Header,
    /// Of a message that was recorded and is judged again: what is known of its header. `None` when that is all there.
    pub partial: Option<Partial>,
    /// The names of the fields that were read, in lower case. Uncontended: scripts run one after the other.
    read: Mutex<Vec<String>>,
}

/// What is known of a header that is not all there.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Partial {
    /// The octets that it had.
    pub size: u64,
    /// The `Received` fields that it had.
    pub received: u64,
    /// The names (lower case) of which every field is there, or none was.
    pub known: BTreeSet<String>,
}

/// Names of fields that are noted down, and octets of the longest: scripts may ask for any.
const MAX_READ: usize = 64;
const MAX_NAME: usize = 76;

impl MessageScene {
    /// A message that is all there.
    pub const fn new(size: u64, header: Header) -> Self {
        Self { size, header, partial: None, read: Mutex::new(Vec::new()) }
    }

    /// The names of the fields that scripts have read so far.
    pub fn fields_read(&self) -> BTreeSet<String> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Notes down that a script reads the fields of this name; `false` when they are not known.
    pub(super) fn read(&self, name: &str) -> bool {
        if let Some(partial) = &self.partial {
            return partial.known.contains(&name.to_lowercase());
        }
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = name.len() <= MAX_NAME && read.len() < MAX_READ;
        if has_room && !read.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            read.push(name.to_lowercase());
        }
        true
    }
}

/// An address in the forms that scripts compare, look up and show.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Address {
    original: String,
    address: String,
    local_part: String,
    domain: String,
    display: String,
}

impl Address {
    /// An address of a header field, from its decoded parts.
    pub fn of_header(local_part: &str, domain: &str, display: &str) -> Self {
        let domain = normal_domain(domain);
        let original = join(local_part, &domain);
        Self {
            address: join(&comparable(local_part, local_part), &domain),
            original,
            local_part: local_part.to_lowercase(),
            domain,
            display: display.to_owned(),
        }
    }

    /// An address from free text: what stands before the last `@`, and what stands behind it.
    pub fn of_text(text: &str) -> Self {
        match text.rsplit_once('@') {
            Some((local_part, domain)) => Self::of_header(local_part, domain, ""),
            None => Self::of_header(text, "", ""),
        }
    }

    /// As it was written, without angle brackets.
    pub fn original(&self) -> &str {
        &self.original
    }

    /// The form to compare: in lower case, without needless quotes, the domain in A-labels. Empty for `<>`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The part before the `@`, in lower case, without quotes.
    pub fn local_part(&self) -> &str {
        &self.local_part
    }

    /// The domain in lower case and A-labels; `[192.0.2.1]` for a literal, empty for `<>` and `<postmaster>`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The display name of a header address, decoded.
    pub fn display(&self) -> &str {
        &self.display
    }

    /// Whether this is `<>`.
    pub fn is_null(&self) -> bool {
        self.address.is_empty()
    }
}

impl From<&Mailbox> for Address {
    fn from(mailbox: &Mailbox) -> Self {
        let local = mailbox.local();
        let domain = match mailbox.domain() {
            Domain::Name(name) => name.ascii().to_owned(),
            literal @ Domain::Literal(_) => literal.to_string().to_lowercase(),
        };
        Self {
            original: mailbox.to_string(),
            address: join(&comparable(local.unquoted(), local.original()), &domain),
            local_part: local.unquoted().to_lowercase(),
            domain,
            display: String::new(),
        }
    }
}

impl From<&ReversePath> for Address {
    fn from(path: &ReversePath) -> Self {
        match path {
            ReversePath::Null => Self::default(),
            ReversePath::Mailbox(mailbox) => mailbox.into(),
        }
    }
}

impl From<&ForwardPath> for Address {
    fn from(path: &ForwardPath) -> Self {
        match path {
            ForwardPath::Postmaster(text) => Self::of_header(text, "", ""),
            ForwardPath::Mailbox(mailbox) => mailbox.into(),
        }
    }
}

/// The local part for comparing: `"john"@` and `JOHN@` are one, while a quoted `@` or space stays in its quotes, so that it can
/// never look like another address.
pub(super) fn comparable(unquoted: &str, original: &str) -> String {
    let plain =
        unquoted.chars().all(|c| !c.is_whitespace() && !c.is_control() && !"\"(),:;<>@[\\]".contains(c));
    if plain { unquoted.to_lowercase() } else { original.to_lowercase() }
}

fn normal_domain(domain: &str) -> String {
    let domain = domain.trim_end_matches('.');
    idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_lowercase())
}

fn join(local_part: &str, domain: &str) -> String {
    if domain.is_empty() { local_part.to_owned() } else { format!("{local_part}@{domain}") }
}
