//! What a session remembers of its policies: facts, notes, skips, tags and size limits, each for as long as it holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::delayed::Delayed;
use super::question::{Answer, ByQuestion, Question};
use super::scene::{Address, MailScene, Moment, Scene};
use crate::session::stage::Stage;
use crate::smtp::path::ForwardPath;

/// Facts kept for one session. When there would be more, all are forgotten and asked for again.
const MAX_FACTS: usize = 1_024;
/// Recipients of one transaction that may have notes and the like of their own.
const MAX_RECIPIENTS: usize = 4_096;

/// What one session remembers. It outlives a reload: names that a new generation does not know have no effect.
///
/// Made with [`Memory::default`] when the client connects.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    pub(super) facts: Arc<ByQuestion<Answer>>,
    pub(super) kept: Arc<Kept>,
}

impl Memory {
    /// A new HELO or EHLO, or STARTTLS: what was learnt at `helo` is forgotten (RFC 3207 4.2).
    pub fn forget_helo(&mut self) {
        Arc::make_mut(&mut self.kept).helo = Scope::default();
        self.forget_facts(Lifetime::Helo);
        self.end_transaction();
    }

    /// RSET, the end of a message, or a refused MAIL: what was learnt in the transaction is forgotten.
    pub fn end_transaction(&mut self) {
        if !self.kept.transaction.is_empty() || !self.kept.recipients.is_empty() {
            let kept = Arc::make_mut(&mut self.kept);
            kept.transaction = Scope::default();
            kept.recipients.clear();
        }
        self.forget_facts(Lifetime::Transaction);
    }

    /// The tags that hold for `mail`, for `X-Gatepost-Tag: name=value` on acceptance.
    pub fn tags(&self, mail: &MailScene) -> Vec<(String, String)> {
        self.scopes(mail).flat_map(|scope| scope.tags.iter().cloned()).collect()
    }

    /// The smallest size limit that a policy set for `mail` or one of its recipients.
    pub fn size_limit(&self, mail: &MailScene) -> Option<&SizeLimit> {
        self.scopes(mail).filter_map(|scope| scope.limit.as_ref()).min_by_key(|limit| limit.octets)
    }

    /// The smallest that a rule in shadow would have set, for what it would have said.
    pub fn shadow_limit(&self, mail: &MailScene) -> Option<&SizeLimit> {
        self.scopes(mail).filter_map(|scope| scope.shadow_limit.as_ref()).min_by_key(|limit| limit.octets)
    }

    fn scopes(&self, mail: &MailScene) -> impl Iterator<Item = &Scope> {
        let recipients = mail.recipients.iter();
        self.kept
            .session_scopes()
            .chain(recipients.filter_map(|rcpt| self.kept.recipient(rcpt.address.address())))
    }

    fn forget_facts(&mut self, lifetime: Lifetime) {
        if self.facts.keys().any(|question| Lifetime::of(question) == lifetime) {
            Arc::make_mut(&mut self.facts).retain(|question, _| Lifetime::of(question) != lifetime);
        }
    }

    /// Keeps what a stage learnt, but for what holds for that stage only, and for failures: the next stage may have more luck.
    pub(super) fn learn(&mut self, facts: impl ExactSizeIterator<Item = (Question, Answer)>) {
        if facts.len() == 0 {
            return;
        }
        let known = Arc::make_mut(&mut self.facts);
        if known.len() + facts.len() > MAX_FACTS {
            known.clear();
        }
        let lasting = |(question, fact): &(Question, Answer)| {
            Lifetime::of(question) != Lifetime::Stage && !fact.is_failure()
        };
        known.extend(facts.filter(lasting));
    }

    /// Keeps what the policies of a stage ordered. What is about a recipient stays with the mail when another address gets it.
    pub(super) fn keep(
        &mut self,
        moment: &Moment,
        passed: bool,
        redirect: Option<&ForwardPath>,
        scope: Scope,
    ) {
        if scope.is_empty() {
            return;
        }
        let kept = Arc::make_mut(&mut self.kept);
        match moment {
            Moment::Connect | Moment::Auth | Moment::Violation(_) | Moment::Close => {
                kept.session.absorb(scope)
            }
            Moment::Helo => kept.helo.absorb(scope),
            Moment::Mail(_) | Moment::Data(_) | Moment::Message(..) => kept.transaction.absorb(scope),
            Moment::Rcpt(_, rcpt) => {
                if passed && kept.recipients.len() < MAX_RECIPIENTS {
                    let redirected = redirect.map(Address::from);
                    let address = redirected.as_ref().unwrap_or(&rcpt.address).address();
                    kept.recipients.insert(address.to_owned(), scope);
                }
            }
        }
    }
}

/// How long a fact holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Lifetime {
    Stage,
    Transaction,
    Helo,
    Session,
}

impl Lifetime {
    pub(super) const fn of(question: &Question) -> Self {
        match question {
            Question::Dns(..) | Question::MailHosts(_) | Question::Fcrdns | Question::Listed(..) => {
                Self::Session
            }
            Question::HeloSpf => Self::Helo,
            Question::Spf | Question::Dkim | Question::Dmarc | Question::Arc => Self::Transaction,
            Question::Clamd | Question::Rspamd | Question::Contents => Self::Transaction,
            Question::State(_)
            | Question::Now
            | Question::Random
            | Question::HttpGet(_)
            | Question::HttpPost { .. } => Self::Stage,
        }
    }
}

/// Everything that policies left, by how long it holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub(super) session: Scope,
    pub(super) helo: Scope,
    pub(super) transaction: Scope,
    recipients: BTreeMap<String, Scope>,
}

impl Kept {
    /// What holds whatever the recipient, the youngest first.
    pub(super) fn session_scopes(&self) -> impl Iterator<Item = &Scope> {
        [&self.transaction, &self.helo, &self.session].into_iter()
    }

    /// The refusals that wait for a recipient, the oldest first.
    pub(super) fn delayed(&self) -> impl Iterator<Item = &Delayed> {
        [&self.session, &self.helo, &self.transaction].into_iter().flat_map(|scope| &scope.delayed)
    }

    /// What was left for one recipient, by its comparable address.
    pub(super) fn recipient(&self, address: &str) -> Option<&Scope> {
        self.recipients.get(address)
    }

    /// The skips that hold at `scene`; one of a recipient's only if all recipients of the mail have it.
    pub(super) fn skips(&self, scene: &Scene) -> Vec<Arc<str>> {
        let mut skips: Vec<_> = self.session_scopes().flat_map(|scope| scope.skips.iter().cloned()).collect();
        if let (Stage::Data | Stage::Message, Some(mail)) = (scene.moment.stage(), scene.moment.mail()) {
            skips.extend(self.common_skips(mail));
        }
        skips
    }

    /// The sum of the scores that hold at `moment`: those of the session and the transaction, and at `rcpt` this recipient's,
    /// later the highest among the recipients. `newer` is what the stage itself left so far, the youngest last.
    pub(super) fn total_score(&self, moment: &Moment, newer: [&Scope; 2], sees_shadow: bool) -> f64 {
        let none = Scope::default();
        let (own, others) = match moment {
            Moment::Connect | Moment::Auth | Moment::Violation(_) | Moment::Close => {
                (&self.session, [&self.helo, &self.transaction])
            }
            Moment::Helo => (&self.helo, [&self.session, &none]),
            Moment::Mail(_) | Moment::Data(_) | Moment::Message(..) => {
                (&self.transaction, [&self.session, &self.helo])
            }
            Moment::Rcpt(..) => (&none, [&self.session, &self.helo]),
        };
        let mut stage = Scope { scores: own.scores.clone(), ..Scope::default() };
        for score in newer.iter().flat_map(|scope| &scope.scores) {
            stage.put_score(score.clone());
        }
        let sum = |scope: &Scope| scope.score(sees_shadow);
        let of_transaction = if matches!(moment, Moment::Rcpt(..)) { sum(&self.transaction) } else { 0.0 };
        let highest = match moment {
            Moment::Data(mail) | Moment::Message(mail, _) => self.highest_score(mail, sees_shadow),
            _ => 0.0,
        };
        sum(&stage) + others.into_iter().map(sum).sum::<f64>() + of_transaction + highest
    }

    /// The highest score among the recipients of `mail`, 0 for one without any.
    fn highest_score(&self, mail: &MailScene, sees_shadow: bool) -> f64 {
        let scores = mail
            .recipients
            .iter()
            .map(|rcpt| self.recipient(rcpt.address.address()).map_or(0.0, |scope| scope.score(sees_shadow)));
        scores.reduce(f64::max).unwrap_or(0.0)
    }

    fn common_skips(&self, mail: &MailScene) -> Vec<Arc<str>> {
        let mut recipients = mail.recipients.iter().map(|rcpt| self.recipient(rcpt.address.address()));
        let Some(Some(first)) = recipients.next() else { return Vec::new() };
        let mut common = first.skips.clone();
        for scope in recipients {
            common.retain(|skip| scope.is_some_and(|scope| scope.skips.contains(skip)));
        }
        common
    }
}

/// What policies left for one span of time, or for one recipient.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub(super) notes: Vec<Note>,
    pub(super) skips: Vec<Arc<str>>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) limit: Option<SizeLimit>,
    pub(super) shadow_limit: Option<SizeLimit>,
    pub(super) scores: Vec<Score>,
    pub(super) delayed: Vec<Delayed>,
}

impl Scope {
    /// Notes, and tags, that one scope can hold.
    pub(super) const MAX_ENTRIES: usize = 64;

    pub(super) fn is_empty(&self) -> bool {
        let Self { notes, skips, tags, limit, shadow_limit, scores, delayed } = self;
        let has_orders = !skips.is_empty() || !tags.is_empty() || limit.is_some() || shadow_limit.is_some();
        !has_orders && notes.is_empty() && scores.is_empty() && delayed.is_empty()
    }

    /// Adds what `newer` holds; a note, tag, skip or score of the same name is replaced, the smaller limit stays.
    pub(super) fn absorb(&mut self, newer: Self) {
        for note in newer.notes {
            self.put_note(note);
        }
        for (name, value) in newer.tags {
            self.put_tag(name, value);
        }
        for skip in newer.skips {
            self.put_skip(skip);
        }
        if let Some(limit) = newer.limit {
            self.put_limit(limit);
        }
        if let Some(limit) = newer.shadow_limit {
            self.put_shadow_limit(limit);
        }
        for score in newer.scores {
            self.put_score(score);
        }
        for delayed in newer.delayed {
            self.put_delayed(delayed);
        }
    }

    /// Keeps a note; `false` when there is no room for one more.
    pub(super) fn put_note(&mut self, note: Note) -> bool {
        self.notes.retain(|old| old.key != note.key || old.shadow != note.shadow);
        let room = self.notes.len() < Self::MAX_ENTRIES;
        if room {
            self.notes.push(note);
        }
        room
    }

    /// Keeps a tag; `false` when there is no room for one more.
    pub(super) fn put_tag(&mut self, name: String, value: String) -> bool {
        self.tags.retain(|(old, _)| *old != name);
        let room = self.tags.len() < Self::MAX_ENTRIES;
        if room {
            self.tags.push((name, value));
        }
        room
    }

    /// Keeps a skip. Their number is bounded by the policies and rules that exist.
    pub(super) fn put_skip(&mut self, skip: Arc<str>) {
        if !self.skips.contains(&skip) {
            self.skips.push(skip);
        }
    }

    /// Keeps the smaller limit.
    pub(super) fn put_limit(&mut self, limit: SizeLimit) {
        if self.limit.as_ref().is_none_or(|old| limit.octets < old.octets) {
            self.limit = Some(limit);
        }
    }

    /// Keeps the smaller limit of those in shadow.
    pub(super) fn put_shadow_limit(&mut self, limit: SizeLimit) {
        if self.shadow_limit.as_ref().is_none_or(|old| limit.octets < old.octets) {
            self.shadow_limit = Some(limit);
        }
    }

    /// Keeps a score. Each rule has one, so that a loop cannot run away with it; their number is bounded by the rules that exist.
    pub(super) fn put_score(&mut self, score: Score) {
        self.scores.retain(|old| old.rule != score.rule);
        self.scores.push(score);
    }

    /// Keeps a refusal that waits for a recipient. Each rule has one.
    pub(super) fn put_delayed(&mut self, delayed: Delayed) {
        if !self.delayed.iter().any(|old| old.is_same(&delayed)) {
            self.delayed.push(delayed);
        }
    }

    /// The sum of the scores, for a reader that may or may not see those of policies in shadow.
    fn score(&self, sees_shadow: bool) -> f64 {
        let visible = self.scores.iter().filter(|score| sees_shadow || !score.shadow);
        visible.map(|score| score.points).sum()
    }

    /// The value of the note `policy.key`, for a reader that may or may not see what policies in shadow noted.
    pub(super) fn note(&self, key: &str, sees_shadow: bool) -> Option<&NoteValue> {
        let visible = self.notes.iter().rev().filter(|note| sees_shadow || !note.shadow);
        visible.filter(|note| note.key == key).map(|note| &note.value).next()
    }
}

/// What a policy noted.
#[derive(Clone, Debug)]
pub(super) struct Note {
    /// `policy.key`.
    pub(super) key: String,
    pub(super) value: NoteValue,
    /// Whether only policies in shadow may see it.
    pub(super) shadow: bool,
}

/// The value of a note.
#[derive(Clone, Debug)]
pub(super) enum NoteValue {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
}

/// The points that a rule gave.
#[derive(Clone, Debug)]
pub(super) struct Score {
    /// `policy.rule`.
    pub(super) rule: Arc<str>,
    pub(super) points: f64,
    /// Whether only policies in shadow may see it.
    pub(super) shadow: bool,
}

/// A size limit that a policy set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SizeLimit {
    /// The most octets that the message may have.
    pub octets: u64,
    /// `policy.rule`, for the 552 (RFC 1870) and the metrics.
    pub rule: Arc<str>,
    /// `file:line` of the call.
    pub place: Arc<str>,
}
