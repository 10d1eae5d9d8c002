//! Where policies come from, and how the operator bends them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::coverage::Coverage;
use super::judgement::Mode;
use super::lists;
use crate::diagnostic::{Diagnostic, Position};
use crate::session::stage::Stage;
use crate::smtp::domains::DomainSet;

/// Everything that one generation of policies is made of, as the configuration gives it.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The folder with `*.rhai`, and `lib/*.rhai` below it.
    pub dir: PathBuf,
    /// What a failing policy that is no gate means.
    pub on_error: OnError,
    /// When a client hears that policies of `connect`, `helo` or `mail` refuse it.
    pub refuse_at: RefuseAt,
    /// Whether a warning is as bad as an error: then the policies do not load.
    pub deny_warnings: bool,
    /// Modes by `policy` or `policy.rule`; they beat what the files say.
    pub modes: BTreeMap<String, Mode>,
    /// Settings by policy and name; they beat the files' defaults.
    pub settings: BTreeMap<String, BTreeMap<String, Setting>>,
    /// The lists that scripts may ask.
    pub lists: BTreeMap<String, ListSource>,
    /// The tables that scripts may ask.
    pub tables: BTreeMap<String, TableSource>,
    /// Rules softened for some.
    pub exceptions: Vec<ExceptionSource>,
    /// What domains of recipients wish for themselves: `example.org` is itself, `.example.org` everything below it.
    pub domains: BTreeMap<String, DomainSource>,
    /// Every listener and the policies that it takes.
    pub listeners: Vec<(String, Selection)>,
    /// Whether the policies are taken only when their own tests pass.
    pub require_tests: bool,
    /// Where the policies report which of their lines and rules are reached; `None` for not at all, which costs nothing.
    pub coverage: Option<Arc<Coverage>>,
    /// What one stage may cost.
    pub budget: Budget,
    /// Whether there is a place for mail that policies quarantine.
    pub quarantine: bool,
    /// The domains to which policies may redirect mail or add recipients: ours, and those that the operator adds.
    pub redirect_domains: DomainSet,
    /// The web services that policies may ask, `host` or `host:port`; `None` where that is not known.
    pub http_hosts: Option<Vec<String>>,
    /// Our recipients' domains.
    pub our_domains: DomainSet,
    /// The day that is taken for today, in UTC, where something counts until a day; `None` for the real one.
    pub today: Option<Date>,
    /// The file of the configuration, which diagnostics about all of these name.
    pub config: PathBuf,
    /// Where in that file its keys stand.
    pub places: Places,
}

impl Sources {
    /// Makes these domains ours; policies may send mail to them, too.
    pub fn receive_for(&mut self, domains: &[String]) {
        self.our_domains = domains.iter().cloned().collect();
        self.redirect_domains.extend(domains.iter().cloned());
    }

    /// The day that it is, in UTC.
    pub fn today(&self) -> Date {
        self.today.unwrap_or_else(|| Timestamp::now().to_zoned(TimeZone::UTC).date())
    }
}

/// Where the keys of the configuration stand, for diagnostics that only show when policies are loaded.
#[derive(Clone, Default)]
pub struct Places {
    /// The whole text.
    pub text: Option<Arc<str>>,
    /// By their paths, such as `policies.modes.helo.not-fqdn`; the elements of lists by their numbers, from 0.
    pub keys: BTreeMap<String, Position>,
}

/// The text may hold secrets.
impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

impl Sources {
    /// An error about the key at `path` of the configuration.
    pub(super) fn error(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        self.place(path, Diagnostic::error(&self.config, message))
    }

    /// A warning about the key at `path` of the configuration.
    pub(super) fn warning(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        self.place(path, Diagnostic::warning(&self.config, message))
    }

    fn place(&self, path: &str, diagnostic: Diagnostic) -> Diagnostic {
        match (&self.places.text, self.places.keys.get(path)) {
            (Some(text), Some(position)) => diagnostic.at(text, *position),
            _ => diagnostic,
        }
    }
}

/// `policies.exceptions`: a policy or rule softened where all of its conditions hold; an empty one holds always.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExceptionSource {
    /// What is softened: a `policy` or `policy.rule`.
    pub target: String,
    /// [`Mode::Shadow`] or [`Mode::Off`].
    pub mode: Mode,
    /// The networks of the clients that it is for.
    pub clients: Vec<IpNet>,
    /// The recipients that it is for, addresses and domains as in lists.
    pub recipients: Vec<String>,
    /// The listeners that it is for.
    pub listeners: Vec<String>,
    /// The last day on which it holds, in UTC.
    pub until: Option<Date>,
    /// Why it is there.
    pub why: String,
}

/// `policies.domains`: what one domain of recipients wishes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DomainSource {
    /// Settings by policy and name, which `rcpt.setting` reads.
    pub settings: BTreeMap<String, BTreeMap<String, Setting>>,
    /// Modes by `policy` or `policy.rule`, of what is asked at `rcpt`.
    pub modes: BTreeMap<String, Mode>,
}

/// The day that `text` is, written as in RFC 3339: `2027-03-31`.
pub fn day(text: &str) -> Option<Date> {
    lists::day(text)
}

/// The policy and the rule of `policy.rule`; a policy of a domain's is `example.net/policy`, whose dots divide nothing.
pub(super) fn split_target(target: &str) -> (&str, Option<&str>) {
    let name = target.find('/').map_or(0, |slash| slash + 1);
    match target.get(name..).and_then(|rest| rest.find('.')) {
        Some(dot) => target
            .split_at_checked(name + dot)
            .map_or((target, None), |(policy, rule)| (policy, rule.strip_prefix('.'))),
        None => (target, None),
    }
}

/// When a client hears that policies of `connect`, `helo` or `mail` refuse it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum RefuseAt {
    /// At once.
    #[default]
    Stage,
    /// At each RCPT, so that sender and recipient are known to the log and to exceptions.
    Rcpt,
}

impl RefuseAt {
    /// Whether what policies refuse at `stage` is said at RCPT.
    pub(super) const fn delays(self, stage: Stage) -> bool {
        matches!((self, stage), (Self::Rcpt, Stage::Connect | Stage::Helo | Stage::Mail))
    }
}

/// What becomes of mail when a policy fails for another reason than an exhausted budget, and is no gate.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum OnError {
    /// 451 4.7.0: the sender tries again.
    #[default]
    Defer,
    /// As if the policy had no objection.
    Pass,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// A text, which durations and sizes are too.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// Several values of one type.
    Array(Vec<Self>),
}

impl Setting {
    /// The name of its type, for the operator.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::Array(_) => "an array",
        }
    }
}

/// A list: where its entries are, and what they may be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListSource {
    /// The only kind of entries that it takes; any where none is declared.
    pub kind: Option<ListKind>,
    /// Where the entries are.
    pub entries: EntrySource,
}

impl From<EntrySource> for ListSource {
    /// A list of entries of any kind.
    fn from(entries: EntrySource) -> Self {
        Self { kind: None, entries }
    }
}

/// Where the entries of a list are, each with the day until which it counts, if it has one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EntrySource {
    /// In the configuration.
    Inline(Vec<String>),
    /// In a file, one on each line; `#` begins a comment.
    File(PathBuf),
}

/// What a list may hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ListKind {
    /// `boss@example.org`.
    Addresses,
    /// `example.org`, `@example.org`, and `.example.org` for everything below it.
    Domains,
    /// `192.0.2.0/24`, and single addresses.
    Networks,
}

impl ListKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Addresses, Self::Domains, Self::Networks];

    /// The word in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Addresses => "addresses",
            Self::Domains => "domains",
            Self::Networks => "networks",
        }
    }

    /// One entry of the kind, with its article.
    pub(super) const fn one(self) -> &'static str {
        match self {
            Self::Addresses => "an address",
            Self::Domains => "a domain",
            Self::Networks => "a network",
        }
    }
}

/// Keys with their values.
pub type TableEntries = Vec<(String, Vec<String>)>;

/// Where the entries of a table are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TableSource {
    /// In the configuration.
    Inline(TableEntries),
    /// In a file, one `KEY: VALUE, VALUE` on each line; `#` begins a comment.
    File(PathBuf),
}

/// Which policies a listener takes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Selection {
    /// All.
    #[default]
    All,
    /// These and no others.
    Only(Vec<String>),
    /// All but these.
    Except(Vec<String>),
}

/// What one stage of one session may cost. What policies in shadow use is counted apart, so that an experiment cannot
/// use up what the enforced ones need.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Budget {
    /// CPU time of the thread, summed over all policies of the stage and their reruns.
    pub time: Duration,
    /// Rhai operations of one run of one policy.
    pub operations: u64,
    /// Facts that scripts may wait for at one stage.
    pub facts: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { time: Duration::from_millis(10), operations: 100_000, facts: 64 }
    }
}
