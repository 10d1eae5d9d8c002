//! What is to be true at a point of a dialogue, and what is to be true of every dialogue.

use super::books::Order;
use super::expect::{difference, text_matches};
use super::pattern::Pattern;
use super::play::{Play, Trouble};
use super::sent::is_identical;
use super::steps::Assertion;
use crate::decisions::explain::{Explanation, Item, explain};
use crate::decisions::{Decision, Query, Recipient};
use crate::message::header::Header;
use crate::metrics;
use crate::quarantine::State;
use crate::session::Outcome;
use crate::session::stage::Stage;
use crate::upstream::simulated::{self, Message};

/// Looks at the world as it is now.
///
/// # Errors
/// What is not as it should be.
pub(super) fn check(play: &Play, assertion: &Assertion) -> Result<(), Trouble> {
    match assertion {
        Assertion::Rule(expected) => rule(play, expected.as_deref()),
        Assertion::Shadow(rule) => shadow(play, rule),
        Assertion::Explained(pattern) => explained(play, pattern),
        Assertion::Failed(policy, stage) => failed(play, policy, *stage),
        Assertion::Outcome(expected) => {
            same("the outcome", *expected, play.world.books.outcome().map_or("none", Outcome::name))
        }
        Assertion::Within(time) if play.took <= *time => Ok(()),
        Assertion::Within(time) => {
            Err(Trouble::new(format!("it took {:?}, which is more than {time:?}", play.took)))
        }
        Assertion::Offered(pattern, wanted) => offered(play, pattern, *wanted),
        Assertion::Messages(_) | Assertion::Connections(_) | Assertion::Never(_) | Assertion::Dialled(..) => {
            let before = (play.before.lines, play.before.connections);
            of_the_upstream(&play.world.upstream, before, assertion)
        }
        Assertion::Of(name, assertion) => {
            let other = play.world.others.iter().find(|other| other.name == *name);
            let other = other.ok_or_else(|| Trouble::new(format!("there is no upstream @{name}")))?;
            of_the_upstream(&other.simulated, other.before, assertion)
        }
        Assertion::Effect(action, rule) => effect(play, action, rule),
        Assertion::Kept(state, number) => {
            same("the number of entries in the quarantine", number, &play.world.keeping.entries(*state).len())
        }
        Assertion::KeptFrom(path, rule) => kept_from(play, path, rule),
        Assertion::Identical => identical(play),
        Assertion::Delivered(lines) => delivered(play, lines),
        Assertion::Header { name, value, present } => header(play, name, value, *present),
        Assertion::Headers(name, number) => {
            let message = last_message(play)?;
            same(&format!("the number of {name} fields"), number, &fields(&message, name).len())
        }
    }
}

fn same<T: PartialEq<U> + std::fmt::Display + ?Sized, U: std::fmt::Display + ?Sized>(
    what: &str,
    expected: &T,
    found: &U,
) -> Result<(), Trouble> {
    if expected == found {
        return Ok(());
    }
    let difference = difference(&[expected.to_string()], |_, _| false, &[found.to_string()]);
    Err(Trouble { what: format!("{what} is another"), difference })
}

// === decisions ===

fn rule(play: &Play, expected: Option<&str>) -> Result<(), Trouble> {
    let id = play.reply.last().and_then(|line| decision_id(line));
    let found = id.and_then(|id| play.world.books.rule(id));
    same("the rule", expected.unwrap_or("none"), found.as_deref().unwrap_or("none"))
}

/// The id in `... (gp 7f3k2a7q4d)` at the end of a reply.
fn decision_id(line: &str) -> Option<&str> {
    line.rsplit_once("(gp ")?.1.strip_suffix(')')
}

fn shadow(play: &Play, rule: &str) -> Result<(), Trouble> {
    let labels = [("rule", rule), ("mode", "shadow")];
    let counted = count(play, "policy_decisions_total", &labels) > 0.0;
    if counted && play.world.books.has_shadow(rule) {
        Ok(())
    } else {
        Err(Trouble::new(format!("no rule {rule} spoke in shadow")))
    }
}

/// Whether the explanation of the last decision says so, as one of its sentences or as a line of its page.
fn explained(play: &Play, pattern: &Pattern) -> Result<(), Trouble> {
    let decisions = play.world.books.decisions();
    let Some(last) = decisions.last() else { return Err(Trouble::new("nothing was decided")) };
    let explanation = explain(last);
    let page = explanation.to_string();
    let Explanation { headline, why, otherwise, advice, .. } = &explanation;
    let sentences = std::iter::once(headline).chain(why).chain(otherwise).chain(advice).map(String::as_str);
    if sentences.chain(page.lines().map(str::trim)).any(|text| pattern.matches(text)) {
        return Ok(());
    }
    Err(Trouble {
        what: "the last decision is explained in other words".to_owned(),
        difference: difference(
            &[pattern.to_string()],
            |_, _| false,
            &page.lines().map(str::to_owned).collect::<Vec<_>>(),
        ),
    })
}

fn failed(play: &Play, policy: &str, stage: Stage) -> Result<(), Trouble> {
    let labels = [("policy", policy), ("stage", stage.name())];
    if count(play, "policy_errors_total", &labels) > 0.0 {
        Ok(())
    } else {
        Err(Trouble::new(format!("the policy {policy} did not fail at {stage}")))
    }
}

fn effect(play: &Play, action: &str, rule: &str) -> Result<(), Trouble> {
    let labels = [("rule", rule), ("action", action), ("mode", "enforce")];
    if count(play, "policy_decisions_total", &labels) > 0.0 && play.world.books.has_effect(rule) {
        Ok(())
    } else {
        Err(Trouble::new(format!("{rule} did not {action}")))
    }
}

fn kept_from(play: &Play, path: &str, rule: &str) -> Result<(), Trouble> {
    let entries = play.world.keeping.entries(State::Kept);
    let kept = entries.iter().flat_map(|entry| &entry.recipients);
    let found: Vec<_> = kept.map(|kept| format!("{} {}", kept.rcpt.path, kept.rule)).collect();
    let wanted = format!("{path} {rule}");
    if found.contains(&wanted) {
        return Ok(());
    }
    let difference = difference(&[wanted], |_, _| false, &found);
    Err(Trouble { what: "nothing is kept from this recipient".to_owned(), difference })
}

/// The sum of the series of `metric` with these labels.
fn count(play: &Play, metric: &str, labels: &[(&str, &str)]) -> f64 {
    let exposition = play.world.metrics.encode().unwrap_or_default();
    metrics::sum(&exposition, &format!("gatepost_{metric}"), labels)
}

// === the dialogues ===

fn offered(play: &Play, pattern: &Pattern, wanted: bool) -> Result<(), Trouble> {
    let keywords = play.reply.iter().skip(1).filter_map(|line| line.get(4..));
    let lines: Vec<String> = keywords.map(str::to_owned).collect();
    match (lines.iter().any(|line| pattern.matches(line)), wanted) {
        (true, true) | (false, false) => Ok(()),
        (false, true) => {
            let difference = difference(&[pattern.to_string()], |_, _| false, &lines);
            Err(Trouble { what: "the last reply does not offer this".to_owned(), difference })
        }
        (true, false) => Err(Trouble::new(format!("the last reply offers {pattern}"))),
    }
}

/// What is asked about one upstream; `before` is how many lines and connections it had seen when the session began.
fn of_the_upstream(
    upstream: &simulated::Upstream,
    before: (usize, usize),
    assertion: &Assertion,
) -> Result<(), Trouble> {
    match assertion {
        Assertion::Messages(number) => same("the number of messages", number, &upstream.messages().len()),
        Assertion::Connections(number) => {
            same("the number of connections", number, &(upstream.connections() - before.1))
        }
        Assertion::Dialled(address, number) => {
            // The probe has been everywhere once.
            let dialled = upstream.dialled_at(address).saturating_sub(before.1.min(1));
            same("how often it was dialled", number, &dialled)
        }
        Assertion::Never(pattern) => never(upstream, before.0, pattern),
        _ => Ok(()),
    }
}

fn never(upstream: &simulated::Upstream, before: usize, pattern: &Pattern) -> Result<(), Trouble> {
    let heard = upstream.transcript();
    let said = heard.iter().skip(before).filter_map(|line| line.strip_prefix("G: "));
    match said.into_iter().find(|line| pattern.matches(line)) {
        Some(line) => Err(Trouble::new(format!("the upstream heard `{line}`"))),
        None => Ok(()),
    }
}

// === the message ===

fn last_message(play: &Play) -> Result<Message, Trouble> {
    play.world.last_message().ok_or_else(|| Trouble::new("the upstream got no message"))
}

fn identical(play: &Play) -> Result<(), Trouble> {
    let message = last_message(play)?;
    let Some(sent) = play.sent.last() else { return Err(Trouble::new("the client sent no message")) };
    // DATA needs a line end that the client's message may not have had (RFC 5321 4.1.1.4).
    let ended = [sent, b"\r\n"].concat();
    let sent = if message.chunked || sent.is_empty() || sent.ends_with(b"\r\n") { sent } else { &ended };
    if is_identical(&message.data, sent) {
        return Ok(());
    }
    let difference = difference(&lines(sent), |_, _| false, &lines(&message.data));
    Err(Trouble { what: "the message was changed".to_owned(), difference })
}

fn delivered(play: &Play, expected: &[Pattern]) -> Result<(), Trouble> {
    let message = last_message(play)?;
    let found = lines(&message.data);
    if text_matches(expected, &found) {
        return Ok(());
    }
    let wanted: Vec<String> = expected.iter().map(ToString::to_string).collect();
    let fits = |wanted: &str, line: &str| wanted != "..." && Pattern::new(wanted).matches(line);
    Err(Trouble { what: "the message is another".to_owned(), difference: difference(&wanted, fits, &found) })
}

/// The lines of a message, without the CRLF that ends each.
fn lines(message: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(message);
    let body = text.strip_suffix("\r\n").unwrap_or(&text);
    if text.is_empty() { Vec::new() } else { body.split("\r\n").map(str::to_owned).collect() }
}

/// The values of the fields with this name, each on one line.
fn fields(message: &Message, name: &str) -> Vec<String> {
    let header = Header::of_message(&message.data, usize::MAX);
    let name = name.to_lowercase();
    header.iter().flat_map(|header| header.named(&name)).map(|field| field.unfolded()).collect()
}

fn header(play: &Play, name: &str, value: &Pattern, present: bool) -> Result<(), Trouble> {
    let found = fields(&last_message(play)?, name);
    match (found.iter().find(|text| value.matches(text)), present) {
        (Some(_), true) | (None, false) => Ok(()),
        (Some(text), false) => Err(Trouble::new(format!("there is a field `{name}: {text}`"))),
        (None, true) => {
            let found: Vec<String> = found.iter().map(|text| format!("{name}: {text}")).collect();
            let difference = difference(&[format!("{name}: {value}")], |_, _| false, &found);
            Err(Trouble { what: "there is no such field".to_owned(), difference })
        }
    }
}

// === every dialogue ===

/// What has to be true of every dialogue when it is over, whatever its transcript asks.
///
/// # Errors
/// The first that is not.
pub(super) fn invariants(play: &Play) -> Result<(), Trouble> {
    nothing_acknowledged_is_lost(play)?;
    commands_are_printable(play)?;
    messages_are_strict(play)?;
    books_balance(play)?;
    refusals_are_explained(play)?;
    orders_are_explained(play)
}

/// Invariant 7 of the crate: each refusal has a decision, and its explanation names what decided, and where that is.
fn refusals_are_explained(play: &Play) -> Result<(), Trouble> {
    let mut decisions = play.world.books.decisions();
    for (id, rule, place) in play.world.books.refusals() {
        // A transaction that ended without an answer has a decision of its own, in which nobody was told anything.
        let upstream = |decision: &Decision| {
            !decision.reply.is_empty()
                && decision.deciding.as_ref().is_some_and(|why| why.source == "upstream")
        };
        let told =
            |decision: &Decision| id.as_ref().map_or_else(|| upstream(decision), |id| decision.id == *id);
        let Some(at) = decisions.iter().position(|decision| told(decision) && decision.rule() == rule) else {
            return Err(Trouble::new(format!("there is no decision about a refusal by {rule}")));
        };
        let decision = decisions.swap_remove(at);
        let item = Item::of(&decision);
        let named = match &item {
            Item::Rule { rule: name, place: at } => *name == rule && *at == place,
            Item::Fault { place: at, .. } => *at == place,
            Item::Limit { limit: name, .. }
            | Item::Protocol { event: name, .. }
            | Item::Internal { trouble: name } => *name == rule,
            Item::Upstream { step, .. } => *step == rule,
            Item::Nobody => false,
        };
        let explanation = explain(&decision);
        let page = explanation.to_string();
        let is_whole = !explanation.otherwise.is_empty() && !explanation.advice.is_empty();
        let is_whole = is_whole && !explanation.why.is_empty();
        let is_told = match &item {
            Item::Upstream { reply, .. } => explanation.why.iter().any(|line| line.contains(reply)),
            _ => page.contains(if place.is_empty() { &rule } else { &place }),
        };
        if !named || !is_whole || !item.is_known() || !is_told {
            return Err(Trouble::new(format!("the refusal by {rule} is explained as {item:?}:\n{page}")));
        }
    }
    Ok(())
}

/// The same for what policies ordered in silence: whoever was told 250, and has their mail nowhere, or in the quarantine.
fn orders_are_explained(play: &Play) -> Result<(), Trouble> {
    let decisions = play.world.books.decisions();
    for Order { id, rcpt, rule, place } in play.world.books.orders() {
        let trouble = |why: &str| Trouble::new(format!("the order of {rule} about {rcpt:?} {why}"));
        let Some(decision) = decisions.iter().find(|decision| decision.id == id) else {
            return Err(trouble("has no decision"));
        };
        let is_it = |at: &Recipient| at.rcpt.address == rcpt && *at.rule == *rule && *at.place == *place;
        let named = match rcpt.as_str() {
            "" => Item::of(decision) == Item::Rule { rule: rule.clone(), place: place.clone() },
            _ => decision.recipients.iter().any(is_it),
        };
        let asked = Query { rule: Some(rule.clone()), ..Query::default() };
        let page = explain(decision).to_string();
        if !named || place.is_empty() || !page.contains(&place) || !asked.matches(decision) {
            return Err(trouble(&format!("is explained so:\n{page}")));
        }
    }
    Ok(())
}

/// Invariant 1 of the crate: who was told 250 has a message at the upstream, or a policy that ordered it to vanish.
fn nothing_acknowledged_is_lost(play: &Play) -> Result<(), Trouble> {
    let ended = play.world.books.ended();
    let granted = ended.iter().filter(|(_, granted)| *granted);
    let accepted = granted.clone().filter(|(outcome, _)| *outcome == Outcome::Accepted).count();
    let discarded = granted.clone().filter(|(outcome, _)| *outcome == Outcome::Discarded).count();
    let quarantined = granted.clone().filter(|(outcome, _)| *outcome == Outcome::Quarantined).count();
    let held = play.world.messages().len();
    let kept = play.world.keeping.entries(State::Kept).len();
    if accepted + discarded + quarantined != granted.count() || accepted > held || quarantined > kept {
        return Err(Trouble::new(format!(
            "{accepted} messages were acknowledged, {quarantined} quarantined and {discarded} discarded, \
             but the upstream has {held} and the quarantine {kept}"
        )));
    }
    Ok(())
}

/// What goes upstream as a command is printable ASCII; in a transaction with SMTPUTF8, UTF-8 without controls.
fn commands_are_printable(play: &Play) -> Result<(), Trouble> {
    let heard: Vec<String> = play.world.upstreams().flat_map(|upstream| upstream.transcript()).collect();
    let mut utf8 = false;
    let mut printable = |line: &&str| {
        if line.starts_with("MAIL") {
            utf8 = line.contains(" SMTPUTF8");
        }
        let utf8 = utf8 || line.ends_with(" SMTPUTF8");
        let text = |c: char| utf8 && !c.is_ascii() && !c.is_control() && c != char::REPLACEMENT_CHARACTER;
        line.chars().all(|c| c == ' ' || c.is_ascii_graphic() || text(c))
    };
    match heard.iter().filter_map(|line| line.strip_prefix("G: ")).find(|line| !printable(line)) {
        Some(line) => Err(Trouble::new(format!("the upstream heard {line:?}"))),
        None => Ok(()),
    }
}

/// Invariant 3 of the crate: what the upstream got has no line end but CRLF, and no NUL; a message that was declared to be binary may
/// have both, and came by BDAT.
fn messages_are_strict(play: &Play) -> Result<(), Trouble> {
    let strict = |message: &Message| {
        let text = String::from_utf8_lossy(&message.data).replace("\r\n", "");
        let binary = message.chunked && message.mail.contains("BODY=BINARYMIME");
        binary || !text.contains(['\r', '\n', '\0'])
    };
    if play.world.messages().iter().all(strict) {
        Ok(())
    } else {
        Err(Trouble::new("the upstream got a message with a bare CR, a bare LF or a NUL"))
    }
}

/// Every 4yz and 5yz is one rejection, and every accepted message one 2yz of the upstream's; a 2yz that was not
/// taken for an acceptance is one that was in doubt.
fn books_balance(play: &Play) -> Result<(), Trouble> {
    let refusals: f64 =
        ["4", "5"].map(|class| count(play, "replies_total", &[("class", class)])).iter().sum();
    let rejections = count(play, "rejections_total", &[]);
    if refusals != rejections {
        return Err(Trouble::new(format!(
            "the books do not balance: {refusals} refusals, {rejections} rejections"
        )));
    }
    let accepted = count(play, "messages_total", &[("outcome", "accepted")]);
    let answered = count(play, "upstream_replies_total", &[("command", "end_of_data"), ("class", "2")]);
    let in_doubt = count(play, "upstream_ambiguous_total", &[]);
    if accepted > answered || answered - accepted > in_doubt {
        return Err(Trouble::new(format!(
            "the books do not balance: {accepted} messages accepted, {answered} 2yz to a final dot, {in_doubt} in doubt"
        )));
    }
    Ok(())
}
