//! The world that a transcript describes: plain data, read from its directives.

mod bending;
mod limits;
mod listener;
mod policies;
mod quarantine;
mod services;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use jiff::Timestamp;

pub(super) use self::bending::Bending;
pub(super) use self::limits::Limit;
use self::limits::limit;
pub(super) use self::listener::TlsOffer;
use self::listener::{auth, inquiry};
pub(super) use self::policies::OwnPolicy;
use self::policies::{mode, setting, table};
pub(super) use self::quarantine::QuarantineSetup;
pub(super) use self::services::Services;
use super::certificate::certificate;
use super::state::StateChange;
use super::upstream::{self, UpstreamSetup};
use super::words::{Mistake, Word, Words};
use super::zone::DnsChange;
use crate::policy::judgement::Mode;
use crate::policy::sources::{Selection, Setting, TableEntries};
use crate::proxy::Manners;
use crate::session::{AuthTerms, Inquiries};
use crate::tls::ClientCertificate;

/// Everything that holds before the first word of a dialogue.
///
/// Where a transcript does not say, the runner's defaults hold; what the operator's configuration may give (`None` here)
/// comes from there.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) client: SocketAddr,
    /// The address of ours that it connected to.
    pub(super) local: SocketAddr,
    pub(super) hostname: Option<String>,
    pub(super) domains: Option<Vec<String>>,
    pub(super) trusted: Option<Vec<IpNet>>,
    /// Where policies may send mail beside our own domains.
    pub(super) redirect_domains: Vec<String>,
    /// Those whose seals are believed (ARC).
    pub(super) trusted_sealers: Vec<String>,
    pub(super) quarantine: QuarantineSetup,
    pub(super) tls: TlsOffer,
    pub(super) manners: Manners,
    pub(super) auth: AuthTerms,
    /// What the client shows in its handshakes.
    pub(super) certificate: Option<ClientCertificate>,
    pub(super) policies_dir: Option<PathBuf>,
    pub(super) selection: Selection,
    /// The listener of the configuration whose policies the session has.
    pub(super) listener: Option<String>,
    /// Policies that stand in the transcript itself.
    pub(super) own_policies: Vec<OwnPolicy>,
    /// Policy, setting and value.
    pub(super) settings: Vec<(String, String, Setting)>,
    /// Policy or `policy.rule`, and its mode.
    pub(super) modes: Vec<(String, Mode)>,
    /// Exceptions, wishes of domains, and the like.
    pub(super) bending: Bending,
    pub(super) lists: Vec<(String, Vec<String>)>,
    /// Tables with their keys and values.
    pub(super) tables: Vec<(String, TableEntries)>,
    pub(super) limits: Vec<Limit>,
    /// Who answers VRFY, EXPN and HELP.
    pub(super) inquiries: Inquiries,
    pub(super) normalise: Vec<IpNet>,
    pub(super) clock: Timestamp,
    pub(super) dns: Vec<DnsChange>,
    pub(super) state: Vec<StateChange>,
    /// What web services and scanners answer.
    pub(super) services: Services,
    pub(super) upstream: UpstreamSetup,
    /// Other upstreams, by their names.
    pub(super) others: Vec<(String, UpstreamSetup)>,
    /// Domains, and the names of the others that their mail goes to.
    pub(super) routes: Vec<(String, String)>,
    /// The dialogue is run once for each.
    pub(super) splits: Vec<Split>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            client: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), DEFAULT_PORT),
            local: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 25)), DEFAULT_LOCAL_PORT),
            hostname: None,
            domains: None,
            trusted: None,
            redirect_domains: Vec::new(),
            trusted_sealers: Vec::new(),
            quarantine: QuarantineSetup::default(),
            tls: TlsOffer::Off,
            manners: Manners::default(),
            auth: AuthTerms::default(),
            certificate: None,
            policies_dir: None,
            selection: Selection::All,
            listener: None,
            own_policies: Vec::new(),
            settings: Vec::new(),
            modes: Vec::new(),
            bending: Bending::default(),
            lists: Vec::new(),
            tables: Vec::new(),
            limits: Vec::new(),
            inquiries: Inquiries::default(),
            normalise: Vec::new(),
            clock: DEFAULT_CLOCK,
            dns: Vec::new(),
            state: Vec::new(),
            services: Services::default(),
            upstream: UpstreamSetup::default(),
            others: Vec::new(),
            routes: Vec::new(),
            splits: vec![Split::Whole],
        }
    }
}

const DEFAULT_PORT: u16 = 40112;
const DEFAULT_LOCAL_PORT: u16 = 25;
/// 2026-01-02T03:04:05Z: any fixed time makes the stamps of a run the same every day.
const DEFAULT_CLOCK: Timestamp = Timestamp::constant(1_767_323_045, 0);

/// Into which segments the client's bytes are cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Split {
    /// As the transcript's lines are.
    Whole,
    /// Into pieces of at most so many octets.
    AtMost(usize),
}

/// The directives of the world, for suggestions.
pub(super) const DIRECTIVES: [&str; 38] = [
    "certificate",
    "client",
    "local",
    "hostname",
    "domains",
    "trusted",
    "redirect_domains",
    "trusted_sealers",
    "quarantine",
    "proxy_protocol",
    "xclient",
    "exempt",
    "greet_delay",
    "tls",
    "auth",
    "inquiry",
    "policies",
    "setting",
    "mode",
    "list",
    "table",
    "limit",
    "listener",
    "normalise",
    "clock",
    "clamd",
    "dns",
    "domain",
    "exception",
    "http",
    "on_error",
    "refuse_at",
    "rspamd",
    "state",
    "upstream",
    "route",
    "split",
    "bytewise",
];

impl Setup {
    /// Takes in one directive; false when `name` is none of the world's. `folder` is where relative paths begin.
    pub(super) fn read(
        &mut self,
        name: Word<'_>,
        words: &mut Words<'_>,
        folder: &Path,
    ) -> Result<bool, Mistake> {
        match name.text {
            "certificate" => self.certificate = Some(certificate(words)?),
            "client" => self.client = words.expect("an address")?.address(DEFAULT_PORT)?,
            "local" => self.local = words.expect("an address")?.address(DEFAULT_LOCAL_PORT)?,
            "hostname" => self.hostname = Some(words.expect("a host name")?.text.to_owned()),
            "domains" => self.domains = Some(texts(&words.list())),
            "trusted" => self.trusted = Some(networks(&words.list())?),
            "redirect_domains" => self.redirect_domains = texts(&words.list()),
            "trusted_sealers" => self.trusted_sealers = texts(&words.list()),
            "quarantine" => self.quarantine = QuarantineSetup::read(words)?,
            "proxy_protocol" => self.manners.proxy_protocol = networks(&words.list())?,
            "xclient" => self.manners.xclient = networks(&words.list())?,
            "exempt" => self.manners.exempt = networks(&words.list())?,
            "greet_delay" => self.manners.greet_delay = words.expect("a time")?.duration()?,
            "tls" => self.tls = TlsOffer::read(words)?,
            "auth" => self.auth = auth(words)?,
            "policies" => self.read_policies(words, folder)?,
            "setting" => self.settings.push(setting(words)?),
            "mode" => self.modes.push(mode(words)?),
            "list" => {
                self.lists.push((words.expect("the list's name")?.text.to_owned(), texts(&words.list())))
            }
            "table" => table(words, &mut self.tables)?,
            "limit" => self.limits.push(limit(words)?),
            "listener" => self.listener = Some(words.expect("the listener's name")?.text.to_owned()),
            "inquiry" => inquiry(words, &mut self.inquiries)?,
            "normalise" => self.normalise = networks(&words.list())?,
            "clock" => self.clock = words.expect("a time")?.parse("a time as in RFC 3339")?,
            "dns" => self.dns.push(DnsChange::read(words)?),
            "clamd" => self.services.read_clamd(words)?,
            "http" => self.services.read_http(words)?,
            "rspamd" => self.services.read_rspamd(words)?,
            "state" => self.state.push(StateChange::read(words)?),
            "upstream" => self.side(words).read(words)?,
            "route" => self.read_route(words)?,
            "split" => self.splits = splits(words)?,
            "bytewise" => self.splits = vec![Split::AtMost(1)],
            _ if self.bending.read(name, words)? => {}
            _ => return Ok(false),
        }
        words.end()?;
        Ok(true)
    }

    /// The upstream that is spoken of: `@NAME`, or the one without a name.
    fn side(&mut self, words: &mut Words<'_>) -> &mut UpstreamSetup {
        let Some(name) = upstream::name(words) else { return &mut self.upstream };
        let at = self.others.iter().position(|(known, _)| *known == name).unwrap_or(self.others.len());
        if at == self.others.len() {
            self.others.push((name, UpstreamSetup::default()));
        }
        self.others.get_mut(at).map_or(&mut self.upstream, |(_, other)| other)
    }

    /// `route example.net @other`, of an upstream that was spoken of before.
    fn read_route(&mut self, words: &mut Words<'_>) -> Result<(), Mistake> {
        let domain = words.expect("a domain")?.text.to_lowercase();
        let word = words.expect("the upstream's @name")?;
        let name = word.text.trim_start_matches('@');
        let known = self.others.iter().map(|(name, _)| name.as_str());
        if !known.clone().any(|known| known == name) {
            return Err(Mistake::unknown("upstream", word, known));
        }
        self.routes.push((domain, name.to_owned()));
        Ok(())
    }

    /// `policies only a, b`, `policies except a, b` or `policies DIR`.
    fn read_policies(&mut self, words: &mut Words<'_>, folder: &Path) -> Result<(), Mistake> {
        match words.expect("a folder, `only` or `except`")?.text {
            "only" => self.selection = Selection::Only(texts(&words.list())),
            "except" => self.selection = Selection::Except(texts(&words.list())),
            dir => self.policies_dir = Some(folder.join(dir)),
        }
        Ok(())
    }
}

fn texts(words: &[Word<'_>]) -> Vec<String> {
    words.iter().map(|word| word.text.to_owned()).collect()
}

fn networks(words: &[Word<'_>]) -> Result<Vec<IpNet>, Mistake> {
    let network = |word: &Word<'_>| match word.text.parse::<IpAddr>() {
        Ok(ip) => Ok(IpNet::from(ip)),
        Err(_) => word.parse("a network"),
    };
    words.iter().map(network).collect()
}

/// `split whole 1 7`: the dialogue once as it is, once in single octets, once in pieces of seven.
fn splits(words: &mut Words<'_>) -> Result<Vec<Split>, Mistake> {
    let one = |word: &Word<'_>| match word.text {
        "whole" => Ok(Split::Whole),
        _ => match word.parse("`whole` or a number of octets")? {
            0 => Err(word.mistake("a segment has at least one octet")),
            octets => Ok(Split::AtMost(octets)),
        },
    };
    let splits: Vec<Split> = words.list().iter().map(one).collect::<Result<_, _>>()?;
    if splits.is_empty() {
        return Err(words.rest().mistake("`whole` or a number of octets is missing"));
    }
    Ok(splits)
}

#[cfg(test)]
mod tests;
