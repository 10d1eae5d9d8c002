//! Where policies come from, and how the operator bends them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::judgement::Mode;
use crate::smtp::domains::DomainSet;

/// Everything that one generation of policies is made of, as the configuration gives it.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The folder with `*.rhai`, and `lib/*.rhai` below it.
    pub dir: PathBuf,
    /// What a failing policy that is no gate means.
    pub on_error: OnError,
    /// Whether a warning is as bad as an error: then the policies do not load.
    pub deny_warnings: bool,
    /// Modes by `policy` or `policy.rule`; they beat what the files say.
    pub modes: BTreeMap<String, Mode>,
    /// Settings by policy and name; they beat the files' defaults.
    pub settings: BTreeMap<String, BTreeMap<String, Setting>>,
    /// The lists that scripts may ask.
    pub lists: BTreeMap<String, ListSource>,
    /// Every listener and the policies that it takes.
    pub listeners: Vec<(String, Selection)>,
    /// What one stage may cost.
    pub budget: Budget,
    /// Whether there is a place for mail that policies quarantine.
    pub quarantine: bool,
    /// The domains to which policies may redirect mail or add recipients: ours, and those that the operator adds.
    pub redirect_domains: DomainSet,
    /// The file of the configuration, which diagnostics about modes, settings, lists and listeners name.
    pub config: PathBuf,
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
            Self::Text(_) => "text",
            Self::Integer(_) => "whole number",
            Self::Float(_) => "number",
            Self::Bool(_) => "true or false",
            Self::Array(_) => "array",
        }
    }
}

/// Where the entries of a list are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ListSource {
    /// In the configuration.
    Inline(Vec<String>),
    /// In a file, one on each line; `#` begins a comment.
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
