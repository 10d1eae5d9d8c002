//! `mail`, `rcpt`, and the results of SPF.

use std::sync::Arc;

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map, NativeCallContext};

use super::super::question::{Answer, Question};
use super::super::scene::{MailScene, RcptScene};
use super::super::turn::Turn;
use super::addresses::Address;
use super::session::{count, text};
use crate::checks::results;

/// `mail`.
#[derive(Clone, Debug)]
pub(in super::super) struct Mail(pub(in super::super) Arc<MailScene>);

/// `rcpt`.
#[derive(Clone, Debug)]
pub(in super::super) struct Rcpt(pub(in super::super) Arc<RcptScene>);

/// `mail.spf`, `mail.helo_spf`.
#[derive(Clone, Debug)]
struct Spf(Arc<results::Spf>);

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<Mail>("Mail")
        .register_get("id", |m: &mut Mail| text(&m.0.id))
        .register_get("sender", |m: &mut Mail| Address::Sender(Arc::clone(&m.0)))
        .register_get("size", |m: &mut Mail| count(m.0.size))
        .register_get("body", |m: &mut Mail| text(m.0.body))
        .register_get("smtputf8", |m: &mut Mail| m.0.smtputf8)
        .register_get("requiretls", |m: &mut Mail| m.0.requiretls)
        .register_get("ret", |m: &mut Mail| text(m.0.ret))
        .register_get("envid", |m: &mut Mail| text(&m.0.envid))
        .register_get("parameters", |m: &mut Mail| parameters(&m.0))
        .register_get("recipients", |m: &mut Mail| recipients(&m.0.recipients))
        .register_get("recipient_count", |m: &mut Mail| recipient_count(&m.0))
        .register_get("discarded", |m: &mut Mail| recipients(&m.0.discarded))
        .register_get("quarantined", |m: &mut Mail| recipients(&m.0.quarantined))
        .register_get("spf", |call: NativeCallContext<'_>, _: &mut Mail| spf(&call, Question::Spf))
        .register_get("helo_spf", |call: NativeCallContext<'_>, _: &mut Mail| spf(&call, Question::HeloSpf));
    engine
        .register_type_with_name::<Rcpt>("Rcpt")
        .register_get("is_ours", |r: &mut Rcpt| r.0.is_ours)
        .register_get("notify", |r: &mut Rcpt| text(&r.0.notify))
        .register_get("orcpt", |r: &mut Rcpt| text(&r.0.orcpt));
    engine
        .register_type_with_name::<Spf>("Spf")
        .register_get("result", |s: &mut Spf| text(s.0.result.name()))
        .register_get("domain", |s: &mut Spf| text(&s.0.domain))
        .register_get("record", |s: &mut Spf| text(&s.0.record))
        .register_get("mechanism", |s: &mut Spf| text(&s.0.mechanism))
        .register_get("breadth", |s: &mut Spf| count(s.0.breadth))
        .register_get("lookups", |s: &mut Spf| lookups(&s.0.lookups))
        .register_get("explanation", |s: &mut Spf| text(&s.0.explanation));
}

/// By keyword in lower case; a keyword without a value has an empty one.
fn parameters(mail: &MailScene) -> Map {
    let pairs = mail.parameters.iter();
    pairs
        .map(|param| {
            let value = ImmutableString::from(param.value.as_deref().unwrap_or_default());
            (param.keyword.to_lowercase().into(), Dynamic::from(value))
        })
        .collect()
}

fn recipient_count(mail: &MailScene) -> i64 {
    let all = [&mail.recipients, &mail.discarded, &mail.quarantined];
    all.into_iter().map(|some| count(some.len() as u64)).sum()
}

fn recipients(all: &[Arc<RcptScene>]) -> Array {
    all.iter().map(|rcpt| Dynamic::from(Rcpt(Arc::clone(rcpt)))).collect()
}

/// What a check asked of DNS, each as a map.
pub(super) fn lookups(asked: &[results::Asked]) -> Array {
    let entry = |asked: &results::Asked| {
        let took = i64::try_from(asked.took.as_millis()).unwrap_or(i64::MAX);
        let fields: [(&str, Dynamic); 5] = [
            ("type", asked.kind.into()),
            ("name", text(&asked.name).into()),
            ("result", asked.result.into()),
            ("answer", text(&asked.answer).into()),
            ("ms", took.into()),
        ];
        fields.into_iter().map(|(key, value)| (key.into(), value)).collect::<Map>()
    };
    asked.iter().map(|asked| Dynamic::from(entry(asked))).collect()
}

/// The result of an SPF check, which [`super::message`] gives too.
pub(super) fn spf(call: &NativeCallContext<'_>, question: Question) -> Result<Dynamic, Box<EvalAltResult>> {
    Turn::of(call)?.object(call, question, |known| match known {
        Answer::Spf(spf) => Spf(spf),
        _ => Spf(Arc::new(broken_spf())),
    })
}

/// An answer of another kind than the question: nothing is known.
fn broken_spf() -> results::Spf {
    results::Spf { result: results::CheckResult::TempError, ..results::Spf::default() }
}
