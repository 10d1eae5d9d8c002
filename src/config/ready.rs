//! What the rest of the program sees of the configuration: addresses parsed, certificates loaded, defaults filled in.
//!
//! What one room needs comes as that room's own settings, whose defaults are the room's as well.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use zeroize::Zeroizing;

use super::Openings;
use crate::admin::Place;
use crate::facts::ServiceSettings;
use crate::message::spool;
use crate::policy::Sources;
use crate::proxy::Manners;
use crate::server::{Address, Bounds};
use crate::session::Terms;
use crate::tls::{CertificateFiles, ServerTls};
use crate::upstream::Target;
use crate::{checks, decisions, dns, log, quarantine, state};

/// The whole configuration.
#[derive(Debug)]
pub struct Settings {
    /// The file that it was read from.
    pub file: PathBuf,
    /// Our name in the banner, in EHLO towards upstreams and in `Received`: A-labels, lower case.
    pub hostname: String,
    /// Where clients are listened for; at least one, each with a name of its own.
    pub listeners: Vec<Listener>,
    /// The servers that mail goes to, each with a name of its own. Every listener's is among them.
    pub upstreams: Vec<Target>,
    /// The recipients' domains that are ours, in A-labels and lower case: `example.org` is itself, `.example.org`
    /// everything below it, `*` any.
    pub domains: Vec<String>,
    /// Domains of recipients as in `domains`, each with the name of the upstream that their mail goes to in place of the
    /// listener's.
    pub routes: Vec<(String, String)>,
    /// Clients that may relay.
    pub trusted_networks: Vec<IpNet>,
    /// Where policies come from and how they are bent.
    pub policies: Sources,
    /// Where mail is kept that policies keep back.
    pub quarantine: Option<Quarantine>,
    /// How many sessions may have their replies delayed by policies at once.
    pub tarpits: usize,
    /// The services that policies may ask.
    pub services: ServiceSettings,
    /// Where messages are kept while they pass.
    pub spool: spool::Settings,
    /// What is checked.
    pub checks: checks::Settings,
    /// The identity in `Authentication-Results` (RFC 8601 2.5); the host name unless configured.
    pub authserv_id: String,
    /// The file of the key that messages are sealed with, to load it again when it changes.
    pub seal_key: Option<PathBuf>,
    /// Whether messages get a `Received-SPF` field too.
    pub received_spf: bool,
    /// How decisions are kept.
    pub decisions: decisions::Settings,
    /// How names are looked up.
    pub dns: dns::Settings,
    /// The operator's side door; `None` for none.
    pub admin: Option<Admin>,
    /// Where policies' memory is kept.
    pub state: state::Settings,
    /// What is logged, and how.
    pub log: Log,
    /// How long sessions under way may take to come to an end when the process is to stop.
    pub drain: Duration,
    /// Where in the file it says what is listened at.
    pub openings: Openings,
}

/// The operator's side door.
#[derive(Clone, PartialEq)]
pub struct Admin {
    /// Where it is; at least one.
    pub places: Vec<Place>,
    /// What opens the guarded paths over TCP.
    pub token: Option<Zeroizing<String>>,
    /// Names under which it may be asked, beside addresses.
    pub hosts: Vec<String>,
}

/// Without the token.
impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("places", &self.places)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

/// Where quarantined mail goes.
#[derive(Debug)]
pub enum Quarantine {
    /// To a folder.
    Folder(quarantine::Settings),
    /// To an address, by way of the upstream; the listeners' terms have it.
    Address,
}

/// One listener. The policies that it takes are in [`Settings::policies`].
#[derive(Clone, Debug)]
pub struct Listener {
    /// The operator's name for it, the label of its metrics.
    pub name: String,
    /// The addresses that it listens on; at least one.
    pub addresses: Vec<Address>,
    /// The name of the upstream that its mail goes to.
    pub upstream: String,
    /// Whether its clients may, must or need not speak TLS.
    pub tls: ListenerTls,
    /// Whom it believes when it speaks for others, and how strangers are received.
    pub manners: Manners,
    /// What holds for each of its sessions.
    pub terms: Terms,
    /// How many sessions there may be.
    pub bounds: Bounds,
    /// The largest header of a message, in octets.
    pub header_limit: usize,
    /// Clients whose bare CR and LF are taken for line ends.
    pub normalise: Vec<IpNet>,
}

/// TLS towards the clients of a listener.
#[derive(Clone, Debug)]
pub enum ListenerTls {
    /// STARTTLS is not offered.
    Off,
    /// STARTTLS is offered; the terms say whether MAIL is refused until it was used.
    StartTls(Identity),
    /// TLS from the first byte on, without STARTTLS.
    Implicit(Identity),
}

/// Who a listener is in TLS.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The files, to load them again when they change.
    pub files: Vec<CertificateFiles>,
    /// What is in them, ready for handshakes.
    pub tls: Arc<ServerTls>,
}

/// What is logged, and how.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Log {
    /// How a line looks.
    pub format: log::Format,
    /// Which lines are written.
    pub level: log::Level,
}
