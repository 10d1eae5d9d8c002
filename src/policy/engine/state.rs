//! `rate`, `greylist`, `remember`, `remembered`: memory that outlives sessions.

use std::sync::Arc;
use std::time::Duration;

use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString, NativeCallContext};

use super::super::judgement::Mode;
use super::super::question::{Answer, Ask, GreylistAnswer, RateAnswer, lasting};
use super::super::scene::client_network;
use super::super::turn::{Turn, fault, too_large};
use super::super::units;
use super::addresses::Address;
use super::effects::withhold;
use super::mail::Rcpt;
use super::session::text;

type Fallible<T> = Result<T, Box<EvalAltResult>>;
type Text = ImmutableString;

/// The longest key, in octets: twice the longest address.
const MAX_KEY: usize = 1_024;
/// How long anything may be kept or waited for.
pub(in super::super) const MAX_TIME: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// After so many of its pairs have passed, a client is known, where a script does not say.
const PASSES: u32 = 5;

/// What `rate` gives.
#[derive(Clone, Copy, Debug)]
struct Rate(RateAnswer);

/// What `greylist` gives.
#[derive(Clone, Copy, Debug)]
struct Greylist(GreylistAnswer);

/// What `remembered` gives.
#[derive(Clone, Copy, Debug)]
struct Remembered(&'static str);

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<Rate>("Rate")
        .register_get("result", |r: &mut Rate| text(r.0.result))
        .register_get("count", |r: &mut Rate| i64::from(r.0.count))
        .register_get("retry_after", |r: &mut Rate| seconds(r.0.retry_after))
        .register_type_with_name::<Greylist>("Greylist")
        .register_get("result", |g: &mut Greylist| text(g.0.result))
        .register_get("remaining", |g: &mut Greylist| seconds(g.0.remaining))
        .register_type_with_name::<Remembered>("Remembered")
        .register_get("result", |r: &mut Remembered| text(r.0));
    engine.register_fn("rate", |call: NativeCallContext<'_>, rule: Text, key: Text, limits: Text| {
        rate(&call, &rule, &key, &limits)
    });
    engine.register_fn(
        "greylist",
        |call: NativeCallContext<'_>, ip: Text, sender: Dynamic, rcpt: Dynamic, delay: Text, keep: Text| {
            greylist(&call, &ip, [&sender, &rcpt], [&delay, &keep], i64::from(PASSES))
        },
    );
    engine.register_fn(
        "greylist",
        |call: NativeCallContext<'_>,
         ip: Text,
         sender: Dynamic,
         rcpt: Dynamic,
         delay: Text,
         keep: Text,
         passes: i64| { greylist(&call, &ip, [&sender, &rcpt], [&delay, &keep], passes) },
    );
    engine.register_fn("remember", |call: NativeCallContext<'_>, name: Text, key: Text, keep: Text| {
        remember(&call, &name, &key, &keep)
    });
    engine.register_fn("remembered", |call: NativeCallContext<'_>, name: Text, key: Text| {
        remembered(&call, &name, &key)
    });
}

/// Counts under the rule's own name. A rule that is off, or skipped, counts nothing and never has too many.
fn rate(call: &NativeCallContext<'_>, rule: &str, key: &str, limits: &str) -> Fallible<Rate> {
    let turn = Turn::of(call)?;
    let Some(limits) = units::rates(limits) else {
        return Err(fault(call, format!("`{limits}` is no limit such as 60/m, 100/10m or `20/m, 200/h`")));
    };
    let named = turn.rule(rule);
    let of_policy = || turn.policy().map(|policy| (format!("{}.{rule}", policy.name).into(), policy.mode));
    let Some((rule, mode)) = named.or_else(of_policy).filter(|(_, mode)| *mode != Mode::Off) else {
        return Ok(Rate(RateAnswer { result: "ok", count: 0, retry_after: 0 }));
    };
    let key = key_of(call, key)?;
    let shadow = mode == Mode::Shadow;
    match turn.ask_state(call, Ask::Rate { rule, shadow, key, limits })? {
        Answer::Rate(answer) => Ok(Rate(answer)),
        _ => Ok(Rate(RateAnswer { result: "error", count: 0, retry_after: 0 })),
    }
}

/// Sees an attempt. `ip` may also be a network, or a domain that speaks for the client.
fn greylist(
    call: &NativeCallContext<'_>,
    ip: &str,
    [sender, rcpt]: [&Dynamic; 2],
    [delay, keep]: [&str; 2],
    passes: i64,
) -> Fallible<Greylist> {
    let turn = Turn::of(call)?;
    let Some(policy) = turn.policy() else { return Err(fault(call, "no policy runs")) };
    let (delay, keep) = (time(call, delay)?, time(call, keep)?);
    let Ok(passes) = u32::try_from(passes) else {
        return Err(fault(call, "the number of passes is 0 (never) or more"));
    };
    let ask = Ask::Greylist {
        space: Arc::clone(&policy.name),
        shadow: !policy.enforced,
        client: key_of(call, &client(ip))?,
        sender: key_of(call, &lasting(&address(call, sender)?))?,
        recipient: key_of(call, &address(call, rcpt)?)?,
        delay,
        keep,
        passes,
    };
    match turn.ask_state(call, ask)? {
        Answer::Greylist(answer) => Ok(Greylist(answer)),
        _ => Ok(Greylist(GreylistAnswer { result: "error", remaining: 0 })),
    }
}

/// What a policy in shadow remembers only policies in shadow are told.
fn remember(call: &NativeCallContext<'_>, name: &str, key: &str, keep: &str) -> Fallible<()> {
    let turn = Turn::of(call)?;
    let keep = time(call, keep)?;
    let key = key_of(call, key)?;
    let Some(policy) = turn.policy().filter(|policy| policy.mode != Mode::Off) else { return Ok(()) };
    let shadow = policy.mode == Mode::Shadow;
    let name = format!("{}.{name}", policy.name);
    if shadow {
        withhold(&mut turn.state(), &policy.name, format!("remember {name} {key}"), None);
    }
    turn.ask_state(call, Ask::Remember { name, shadow, key, keep }).map(drop)
}

/// `name` of this policy, or `policy.name` of another.
fn remembered(call: &NativeCallContext<'_>, name: &str, key: &str) -> Fallible<Remembered> {
    let turn = Turn::of(call)?;
    let key = key_of(call, key)?;
    let Some(reader) = turn.policy() else { return Err(fault(call, "no policy runs")) };
    let owner = match name.split_once('.') {
        Some((owner, _)) => turn.0.policies.named(owner),
        None => Some(reader),
    };
    let Some(owner) = owner.filter(|owner| owner.mode != Mode::Off) else { return Ok(Remembered("no")) };
    let shadow = owner.mode == Mode::Shadow;
    if shadow && reader.mode != Mode::Shadow {
        return Ok(Remembered("no"));
    }
    let name = if name.contains('.') { name.to_owned() } else { format!("{}.{name}", owner.name) };
    match turn.ask_state(call, Ask::Remembered { name, shadow, key })? {
        Answer::Remembered(result) => Ok(Remembered(result)),
        _ => Ok(Remembered("error")),
    }
}

fn key_of(call: &NativeCallContext<'_>, key: &str) -> Fallible<String> {
    if key.len() > MAX_KEY { Err(too_large(call, "key")) } else { Ok(key.to_owned()) }
}

fn time(call: &NativeCallContext<'_>, text: &str) -> Fallible<Duration> {
    match units::duration(text) {
        Some(time) if time <= MAX_TIME => Ok(time),
        Some(_) => Err(fault(call, format!("`{text}` is longer than a year"))),
        None => Err(fault(call, format!("`{text}` is no duration such as 10m"))),
    }
}

/// A text, an address or a recipient.
fn address(call: &NativeCallContext<'_>, value: &Dynamic) -> Fallible<String> {
    if let Ok(text) = value.as_immutable_string_ref() {
        return Ok(text.to_lowercase());
    }
    let address = value.read_lock::<Address>().map(|address| address.address().to_owned());
    let address =
        address.or_else(|| value.read_lock::<Rcpt>().map(|rcpt| rcpt.0.address.address().to_owned()));
    address.ok_or_else(|| fault(call, "an address is a text, mail.sender or rcpt"))
}

/// The network that a client's mail comes from: senders retry from a neighbour.
fn client(ip: &str) -> String {
    let network = ip.parse().ok().map(client_network);
    let network = network.or_else(|| units::network(ip).map(|network| network.to_string()));
    network.unwrap_or_else(|| ip.to_lowercase())
}

fn seconds(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_by_their_network() {
        for (ip, network) in [
            ("192.0.2.7", "192.0.2.0/24"),
            ("::ffff:192.0.2.7", "192.0.2.0/24"),
            ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
            ("192.0.2.7/20", "192.0.0.0/20"),
            ("Mail.Example", "mail.example"),
        ] {
            assert_eq!(client(ip), network);
        }
    }
}
