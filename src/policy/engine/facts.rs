//! Look-ups, the time and chance: what needs the world outside.

use std::net::IpAddr;
use std::sync::Arc;

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, NativeCallContext};

use super::super::question::{Answer, Lookup, Question, RecordType};
use super::super::turn::{Turn, fault};
use super::session::{Session, text};

type Found = Result<Dynamic, Box<EvalAltResult>>;

/// The longest name that DNS can hold (RFC 1035 2.3.4).
const MAX_NAME: usize = 253;

/// The result of a look-up.
#[derive(Clone, Debug)]
struct LookedUp(Arc<Lookup>);

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<LookedUp>("Answer")
        .register_get("result", |a: &mut LookedUp| text(a.0.result))
        .register_get("values", |a: &mut LookedUp| {
            a.0.values.iter().map(|value| Dynamic::from(text(value))).collect::<Array>()
        });
    let records = [
        ("dns_a", RecordType::A),
        ("dns_aaaa", RecordType::Aaaa),
        ("dns_mx", RecordType::Mx),
        ("dns_txt", RecordType::Txt),
        ("dns_ptr", RecordType::Ptr),
    ];
    for (word, record) in records {
        engine.register_fn(word, move |call: NativeCallContext<'_>, name: ImmutableString| {
            dns(&call, record, &name)
        });
    }
    engine.register_fn("mail_hosts", |call: NativeCallContext<'_>, domain: ImmutableString| {
        mail_hosts(&call, &domain)
    });
    engine.register_fn("fcrdns", |call: NativeCallContext<'_>, _: Session| look_up(&call, Question::Fcrdns));
    engine.register_fn("now", |call: NativeCallContext<'_>| now(&call));
    engine.register_fn("random", |call: NativeCallContext<'_>| random(&call));
}

/// A name that DNS cannot hold is an error without asking: that is never a silent "no".
fn dns(call: &NativeCallContext<'_>, record: RecordType, name: &str) -> Found {
    let name = match record {
        RecordType::Ptr => name.parse::<IpAddr>().ok().map(|ip| ip.to_string()),
        RecordType::A | RecordType::Aaaa | RecordType::Mx | RecordType::Txt => normal_name(name),
    };
    name.map_or_else(|| Ok(Dynamic::from(error())), |name| look_up(call, Question::Dns(record, name)))
}

fn mail_hosts(call: &NativeCallContext<'_>, domain: &str) -> Found {
    let domain = normal_name(domain);
    domain.map_or_else(|| Ok(Dynamic::from(error())), |domain| look_up(call, Question::MailHosts(domain)))
}

fn look_up(call: &NativeCallContext<'_>, question: Question) -> Found {
    Turn::of(call)?.object(call, question, |known| match known {
        Answer::Lookup(lookup) => LookedUp(lookup),
        _ => error(),
    })
}

fn now(call: &NativeCallContext<'_>) -> Result<i64, Box<EvalAltResult>> {
    match Turn::of(call)?.fact(call, Question::Now)? {
        Answer::Now(seconds) => Ok(seconds),
        _ => Err(fault(call, "the time is not known")),
    }
}

fn random(call: &NativeCallContext<'_>) -> Result<f64, Box<EvalAltResult>> {
    match Turn::of(call)?.fact(call, Question::Random)? {
        Answer::Random(number) => Ok(number),
        _ => Err(fault(call, "chance failed")),
    }
}

fn error() -> LookedUp {
    LookedUp(Arc::new(Lookup { result: "error", values: Vec::new() }))
}

/// Lower case, A-labels, no trailing dot.
fn normal_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let name = if name.is_ascii() { name.to_lowercase() } else { idna::domain_to_ascii(name).ok()? };
    let fits = (1..=MAX_NAME).contains(&name.len());
    let labels = name
        .split('.')
        .all(|label| (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_graphic()));
    (fits && labels).then_some(name)
}
