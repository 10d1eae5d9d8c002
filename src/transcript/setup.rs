//! The world that a transcript describes: plain data, read from its directives.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;

use super::certificate::certificate;
use super::upstream::{self, UpstreamSetup};
use super::words::{Mistake, Word, Words};
use super::zone::DnsChange;
use crate::policy::judgement::Mode;
use crate::policy::sources::{Selection, Setting};
use crate::proxy::Manners;
use crate::session::{AuthTerms, Inquiries, Inquiry};
use crate::smtp::text_line::TEXT_LINE;
use crate::tls::ClientCertificate;
use crate::upstream::Timeouts;

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
    pub(super) tls: TlsOffer,
    pub(super) manners: Manners,
    pub(super) auth: AuthTerms,
    /// What the client shows in its handshakes.
    pub(super) certificate: Option<ClientCertificate>,
    pub(super) policies_dir: Option<PathBuf>,
    pub(super) selection: Selection,
    /// Policies that stand in the transcript itself.
    pub(super) own_policies: Vec<OwnPolicy>,
    /// Policy, setting and value.
    pub(super) settings: Vec<(String, String, Setting)>,
    /// Policy or `policy.rule`, and its mode.
    pub(super) modes: Vec<(String, Mode)>,
    pub(super) lists: Vec<(String, Vec<String>)>,
    pub(super) limits: Vec<Limit>,
    /// Who answers VRFY, EXPN and HELP.
    pub(super) inquiries: Inquiries,
    pub(super) normalise: Vec<IpNet>,
    pub(super) clock: Timestamp,
    pub(super) dns: Vec<DnsChange>,
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
            tls: TlsOffer::Off,
            manners: Manners::default(),
            auth: AuthTerms::default(),
            certificate: None,
            policies_dir: None,
            selection: Selection::All,
            own_policies: Vec::new(),
            settings: Vec::new(),
            modes: Vec::new(),
            lists: Vec::new(),
            limits: Vec::new(),
            inquiries: Inquiries::default(),
            normalise: Vec::new(),
            clock: DEFAULT_CLOCK,
            dns: Vec::new(),
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

/// What a listener makes of STARTTLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum TlsOffer {
    /// Not offered.
    Off,
    /// Offered; the client may go on without.
    Opportunistic,
    /// Nothing goes without.
    Required,
}

impl TlsOffer {
    pub(super) fn read(words: &mut Words<'_>) -> Result<Self, Mistake> {
        const OFFERS: [(&str, TlsOffer); 4] = [
            ("off", TlsOffer::Off),
            ("on", TlsOffer::Opportunistic),
            ("opportunistic", TlsOffer::Opportunistic),
            ("required", TlsOffer::Required),
        ];
        words.expect("a TLS mode")?.choose("TLS mode", &OFFERS)
    }
}

/// A policy in a transcript: `policy NAME` and the lines of its file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct OwnPolicy {
    /// The file name, with `.rhai`.
    pub(super) file: String,
    pub(super) text: String,
}

/// A limit or a time of the session's or the upstream's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Limit {
    MessageSize(u64),
    HeaderSize(usize),
    Recipients(usize),
    Errors(u32),
    /// Failed logins.
    AuthFailures(u32),
    /// RSET, NOOP and the like without a message between them.
    Junk(u32),
    Transactions(u32),
    /// Octets of a line of a message, without its CRLF.
    TextLine(Option<usize>),
    /// Octets of a message a second.
    MinDataRate(u64),
    Command(Duration),
    Data(Duration),
    Session(Duration),
    Upstream(UpstreamStep, Duration),
}

/// What the upstream may take some time for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum UpstreamStep {
    Connect,
    Reply,
    EndOfData,
}

impl UpstreamStep {
    pub(super) const fn set(self, timeouts: &mut Timeouts, time: Duration) {
        match self {
            Self::Connect => timeouts.connect = time,
            Self::Reply => timeouts.reply = time,
            Self::EndOfData => timeouts.end_of_data = time,
        }
    }
}

/// Into which segments the client's bytes are cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Split {
    /// As the transcript's lines are.
    Whole,
    /// Into pieces of at most so many octets.
    AtMost(usize),
}

/// The directives of the world, for suggestions.
pub(super) const DIRECTIVES: [&str; 25] = [
    "certificate",
    "client",
    "local",
    "hostname",
    "domains",
    "trusted",
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
    "limit",
    "normalise",
    "clock",
    "dns",
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
            "limit" => self.limits.push(limit(words)?),
            "inquiry" => inquiry(words, &mut self.inquiries)?,
            "normalise" => self.normalise = networks(&words.list())?,
            "clock" => self.clock = words.expect("a time")?.parse("a time as in RFC 3339")?,
            "dns" => self.dns.push(DnsChange::read(words)?),
            "upstream" => self.side(words).read(words)?,
            "route" => self.read_route(words)?,
            "split" => self.splits = splits(words)?,
            "bytewise" => self.splits = vec![Split::AtMost(1)],
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

/// `auth off` or `auth relay`, the latter perhaps with `required` and `without-tls` behind it.
fn auth(words: &mut Words<'_>) -> Result<AuthTerms, Mistake> {
    let relay = words.expect("`off` or `relay`")?.choose("AUTH mode", &[("off", false), ("relay", true)])?;
    let mut terms = AuthTerms { relay, ..AuthTerms::default() };
    while let Some(word) = words.next() {
        match word.text {
            "required" => terms.required = true,
            "without-tls" => terms.without_tls = true,
            _ => return Err(Mistake::unknown("condition of AUTH", word, ["required", "without-tls"])),
        }
    }
    Ok(terms)
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

/// `setting policy.name value`; the name of the policy may itself hold dots.
fn setting(words: &mut Words<'_>) -> Result<(String, String, Setting), Mistake> {
    let path = words.expect("policy.name")?;
    let (policy, name) = path.text.rsplit_once('.').ok_or_else(|| path.mistake("write it as policy.name"))?;
    let value = if words.peek().starts_with('"') {
        Setting::Text(String::from_utf8_lossy(&words.quoted()?).into_owned())
    } else {
        setting_value(words.rest())?
    };
    Ok((policy.to_owned(), name.to_owned(), value))
}

/// A number or a truth value if it looks like one, `[a, b]` as an array, any other text as a text; in quotes it is always
/// a text.
fn setting_value(word: Word<'_>) -> Result<Setting, Mistake> {
    let scalar = |text: &str| match text.parse::<i64>() {
        Ok(number) => Setting::Integer(number),
        Err(_) => match (text, text.parse::<f64>()) {
            ("true", _) => Setting::Bool(true),
            ("false", _) => Setting::Bool(false),
            (_, Ok(number)) => Setting::Float(number),
            (_, Err(_)) => Setting::Text(text.to_owned()),
        },
    };
    match word.text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        _ if word.text.is_empty() => Err(word.mistake("the value is missing")),
        Some(items) => {
            let items = items.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(Setting::Array(items.map(scalar).collect()))
        }
        None => Ok(scalar(word.text)),
    }
}

fn mode(words: &mut Words<'_>) -> Result<(String, Mode), Mistake> {
    let rule = words.expect("a policy or policy.rule")?;
    let mode = words.expect("a mode")?.choose("mode", &Mode::ALL.map(|mode| (mode.name(), mode)))?;
    Ok((rule.text.to_owned(), mode))
}

fn limit(words: &mut Words<'_>) -> Result<Limit, Mistake> {
    type Value = fn(Word<'_>) -> Result<Limit, Mistake>;
    const LIMITS: [(&str, Value); 15] = [
        ("message_size", |word| word.bytes().map(Limit::MessageSize)),
        ("header_size", |word| {
            word.bytes().map(|octets| Limit::HeaderSize(octets.try_into().unwrap_or(usize::MAX)))
        }),
        ("recipients", |word| word.parse("a number").map(Limit::Recipients)),
        ("errors", |word| word.parse("a number").map(Limit::Errors)),
        ("auth_failures", |word| word.parse("a number").map(Limit::AuthFailures)),
        ("junk", |word| word.parse("a number").map(Limit::Junk)),
        ("transactions", |word| word.parse("a number").map(Limit::Transactions)),
        ("line_length", |word| {
            let choice = [("off", None), ("reject", Some(TEXT_LINE))];
            word.choose("line length", &choice).map(Limit::TextLine)
        }),
        ("min_data_rate", |word| word.bytes().map(Limit::MinDataRate)),
        ("command", |word| word.duration().map(Limit::Command)),
        ("data", |word| word.duration().map(Limit::Data)),
        ("session", |word| word.duration().map(Limit::Session)),
        ("upstream_connect", |word| Ok(Limit::Upstream(UpstreamStep::Connect, word.duration()?))),
        ("upstream_reply", |word| Ok(Limit::Upstream(UpstreamStep::Reply, word.duration()?))),
        ("upstream_end_of_data", |word| Ok(Limit::Upstream(UpstreamStep::EndOfData, word.duration()?))),
    ];
    let read = words.expect("the limit's name")?.choose("limit", &LIMITS)?;
    read(words.expect("the limit's value")?)
}

/// `inquiry VRFY relay`.
fn inquiry(words: &mut Words<'_>, inquiries: &mut Inquiries) -> Result<(), Mistake> {
    type Place = fn(&mut Inquiries) -> &mut Inquiry;
    const COMMANDS: [(&str, Place); 3] =
        [("VRFY", |all| &mut all.vrfy), ("EXPN", |all| &mut all.expn), ("HELP", |all| &mut all.help)];
    const ANSWERS: [(&str, Inquiry); 3] =
        [("answer", Inquiry::Answer), ("relay", Inquiry::Relay), ("off", Inquiry::Off)];
    let place = words.expect("a command")?.choose("command", &COMMANDS)?;
    *place(inquiries) = words.expect("who answers")?.choose("answer", &ANSWERS)?;
    Ok(())
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
mod tests {
    use super::*;

    fn read(lines: &str) -> Result<Setup, Mistake> {
        let mut setup = Setup::default();
        for (n, line) in lines.lines().enumerate() {
            let mut words = Words::new(line, n + 1, 1);
            let name = words.next().unwrap();
            assert!(setup.read(name, &mut words, Path::new("dir"))?, "{line}");
        }
        Ok(setup)
    }

    #[test]
    fn who_and_where() {
        let setup = read("client 2001:db8::7\nhostname mx.test\ndomains a.test, b.test\ntrusted 10.0.0.0/8 192.0.2.9\ntls on")
            .unwrap();
        assert_eq!(setup.client, "[2001:db8::7]:40112".parse().unwrap());
        assert_eq!(setup.hostname.as_deref(), Some("mx.test"));
        assert_eq!(setup.domains.unwrap(), ["a.test", "b.test"]);
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "192.0.2.9/32".parse().unwrap()];
        assert_eq!(setup.trusted, Some(trusted));
        assert_eq!(setup.tls, TlsOffer::Opportunistic);
        assert_eq!(setup.clock.to_string(), "2026-01-02T03:04:05Z");
    }

    #[test]
    fn policies_and_their_settings() {
        let setup = read(
            "policies only relay, helo\npolicies ../mine\nsetting size.max_size 25MiB\nsetting a.b 3\nsetting a.b \"3\"\nsetting a.b true\nsetting a.b [a, 2]\nmode helo.not-fqdn shadow\nlist friends a@b.test c.test",
        )
        .unwrap();
        assert_eq!(setup.selection, Selection::Only(vec!["relay".to_owned(), "helo".to_owned()]));
        assert_eq!(setup.policies_dir.as_deref(), Some(Path::new("dir/../mine")));
        let values: Vec<_> = setup.settings.into_iter().map(|(_, _, value)| value).collect();
        let text = |text: &str| Setting::Text(text.to_owned());
        let array = Setting::Array(vec![text("a"), Setting::Integer(2)]);
        assert_eq!(values, [text("25MiB"), Setting::Integer(3), text("3"), Setting::Bool(true), array]);
        assert_eq!(setup.modes, [("helo.not-fqdn".to_owned(), Mode::Shadow)]);
        assert_eq!(setup.lists, [("friends".to_owned(), vec!["a@b.test".to_owned(), "c.test".to_owned()])]);
    }

    #[test]
    fn limits_and_splits() {
        let setup =
            read("limit message_size 1MiB\nlimit errors 3\nlimit command 5m\nsplit whole 1 7").unwrap();
        let expected =
            [Limit::MessageSize(1 << 20), Limit::Errors(3), Limit::Command(Duration::from_secs(300))];
        assert_eq!(setup.limits, expected);
        assert_eq!(setup.splits, [Split::Whole, Split::AtMost(1), Split::AtMost(7)]);
        assert_eq!(read("bytewise").unwrap().splits, [Split::AtMost(1)]);
    }

    #[test]
    fn every_directive_is_known() {
        for name in DIRECTIVES {
            let mut words = Words::new(name, 1, 1);
            let word = words.next().unwrap();
            let known = Setup::default().read(word, &mut words, Path::new("dir"));
            assert_ne!(known, Ok(false), "{name}");
        }
    }

    #[test]
    fn mistakes() {
        for line in [
            "client nobody",
            "client 192.0.2.1 x",
            "tls maybe",
            "auth maybe",
            "auth relay always",
            "certificate a.example c0de perhaps",
            "trusted 10.0.0.0/33",
            "policies",
            "setting max_size 1",
            "setting size.max_size",
            "mode helo loud",
            "limit speed 3",
            "limit errors 3s",
            "limit command 5",
            "inquiry NOOP off",
            "inquiry VRFY maybe",
            "clock yesterday",
            "dns a.test",
            "dns a.test SRV x",
            "dns a.test A 2001:db8::1",
            "dns a.test MX mail.a.test",
            "dns a.test * 192.0.2.1",
            "upstream",
            "upstream SEND 250 ok",
            "upstream MAIL",
            "upstream MAIL explode",
            "upstream identity ident",
            "upstream proxy maybe",
            "upstream @other balance unfair",
            "upstream @other protocol uucp",
            "route a.test",
            "route a.test @nobody",
            "split 0",
            "split",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
