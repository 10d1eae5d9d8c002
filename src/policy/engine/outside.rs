//! Facts from other services: lists in DNS, web services, virus scanners, rspamd.

use std::net::IpAddr;
use std::sync::Arc;

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map, NativeCallContext};

use super::super::listing::{Verdict, ZoneSpec, zones};
use super::super::question::{Answer, HttpReply, Listable, MAX_SUBJECTS, Question, Rspamd, Scan, Zone};
use super::super::turn::{Turn, fault};
use super::json;
use super::message::Message;
use super::session::text;
use super::sizes::document;
use crate::message::mime::Url;

type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// What `dnsbl` and `dnswl` give.
#[derive(Clone, Debug)]
struct Listing(Arc<Verdict>);

/// What `http_get` and `http_post` give.
#[derive(Clone, Debug)]
struct Reply(Arc<HttpReply>);

/// What `clamd` gives.
#[derive(Clone, Debug)]
struct Scanned(Arc<Scan>);

/// What `rspamd` gives.
#[derive(Clone, Debug)]
struct Judged(Arc<Rspamd>);

pub(super) fn register(engine: &mut Engine) {
    register_listings(engine);
    register_http(engine);
    register_scanners(engine);
}

fn register_listings(engine: &mut Engine) {
    for word in ["dnsbl", "dnswl"] {
        engine.register_fn(word, |call: NativeCallContext<'_>, subject: Dynamic, zones: Map| {
            listing(&call, &subject, &weighed(&call, &zones)?)
        });
        engine.register_fn(word, |call: NativeCallContext<'_>, subject: Dynamic, zones: Array| {
            listing(&call, &subject, &written(&call, &zones)?)
        });
    }
    engine
        .register_type_with_name::<Listing>("Listing")
        .register_get("result", |l: &mut Listing| text(l.0.result))
        .register_get("weight", |l: &mut Listing| l.0.weight)
        .register_get("zones", |l: &mut Listing| texts(&l.0.zones))
        .register_get("codes", |l: &mut Listing| texts(&l.0.codes))
        .register_get("errors", |l: &mut Listing| texts(&l.0.errors))
        .register_get("subjects", |l: &mut Listing| texts(&l.0.subjects));
}

fn register_http(engine: &mut Engine) {
    engine.register_fn("http_get", |call: NativeCallContext<'_>, url: ImmutableString| {
        reply(Turn::of(&call)?.fact(&call, Question::HttpGet(url.to_string()))?)
    });
    engine.register_fn("http_post", |call: NativeCallContext<'_>, url: ImmutableString, body: Map| {
        let body = document(&call, &body)?;
        let turn = Turn::of(&call)?;
        let (policy, nth) = turn.occurrence(&format!("http_post {url} {body}"));
        reply(turn.fact(&call, Question::HttpPost { url: url.to_string(), body, policy, nth })?)
    });
    engine
        .register_type_with_name::<Reply>("Reply")
        .register_get("result", |r: &mut Reply| text(r.0.result))
        .register_get("status", |r: &mut Reply| i64::from(r.0.status))
        .register_get("text", |r: &mut Reply| text(&r.0.body))
        .register_get("json", |r: &mut Reply| json::object(&r.0.body))
        .register_get("values", |r: &mut Reply| json::values(&r.0.body));
}

fn register_scanners(engine: &mut Engine) {
    engine.register_fn("clamd", |call: NativeCallContext<'_>, _: Message| {
        let answer = Turn::of(&call)?.fact(&call, Question::Clamd)?;
        Ok::<_, Box<EvalAltResult>>(Scanned(if let Answer::Scan(scan) = answer {
            scan
        } else {
            Arc::default()
        }))
    });
    engine.register_fn("rspamd", |call: NativeCallContext<'_>, _: Message| {
        let answer = Turn::of(&call)?.fact(&call, Question::Rspamd)?;
        Ok::<_, Box<EvalAltResult>>(Judged(if let Answer::Rspamd(found) = answer {
            found
        } else {
            Arc::default()
        }))
    });
    engine
        .register_type_with_name::<Scanned>("Scan")
        .register_get("result", |s: &mut Scanned| text(s.0.result))
        .register_get("name", |s: &mut Scanned| text(&s.0.name));
    engine
        .register_type_with_name::<Judged>("Rspamd")
        .register_get("result", |r: &mut Judged| text(r.0.result))
        .register_get("action", |r: &mut Judged| text(&r.0.action))
        .register_get("score", |r: &mut Judged| r.0.score)
        .register_get("symbols", |r: &mut Judged| -> Map {
            r.0.symbols.iter().map(|(name, score)| (name.as_str().into(), Dynamic::from(*score))).collect()
        });
}

fn reply(answer: Answer) -> Outcome<Reply> {
    Ok(Reply(if let Answer::Http(reply) = answer { reply } else { Arc::default() }))
}

fn texts(values: &[String]) -> Array {
    values.iter().map(|value| Dynamic::from(text(value))).collect()
}

// === lists in DNS ===

/// `#{ "zone": 3, "other=127.0.0.2": 1.5 }`.
fn weighed(call: &NativeCallContext<'_>, zones: &Map) -> Outcome<Vec<ZoneSpec>> {
    let one = |(zone, weight): (_, Dynamic)| {
        let weight = weight.as_float().or_else(|_| weight.as_int().map(|weight| weight as f64));
        let spec = weight.ok().and_then(|weight| ZoneSpec::weighing(zone, weight));
        spec.ok_or_else(|| fault(call, format!("`{zone}` is no list with a number as its weight")))
    };
    zones.iter().map(|(zone, weight)| one((zone.as_str(), weight.clone()))).collect()
}

/// `["zone*3", "other=127.0.0.2*1.5"]`.
fn written(call: &NativeCallContext<'_>, zones: &Array) -> Outcome<Vec<ZoneSpec>> {
    let one = |zone: &Dynamic| {
        let spec = zone.clone().into_immutable_string().ok().and_then(|zone| ZoneSpec::parse(&zone));
        spec.ok_or_else(|| {
            fault(call, format!("`{zone}` is no list such as \"zen.example.org=127.0.0.[2..11]*3\""))
        })
    };
    zones.iter().map(one).collect()
}

fn listing(call: &NativeCallContext<'_>, subject: &Dynamic, specs: &[ZoneSpec]) -> Outcome<Dynamic> {
    let Some(zones) = zones(specs) else { return Err(fault(call, "too many lists for one question")) };
    let (subjects, is_cut) = subjects(call, subject)?;
    if zones.is_empty() || subjects.is_empty() {
        return Ok(Dynamic::from(Listing(Arc::new(Verdict::of(specs, &[])))));
    }
    let turn = Turn::of(call)?;
    let known = |zone: &String| turn.0.policies.zones.contains(zone.as_str());
    let zones = zones.into_iter().map(|zone| Zone { known: known(&zone), name: zone }).collect();
    turn.object(call, Question::Listed(subjects, zones), |known| match known {
        Answer::Listed(answers) => {
            let verdict = Verdict::of(specs, &answers);
            Listing(Arc::new(if is_cut { verdict.cut(specs) } else { verdict }))
        }
        _ => Listing(Arc::new(Verdict { result: "error", ..Verdict::default() })),
    })
}

/// An address, a domain, a URL, or an array of them, as much of it as one question may have, and whether that is not all.
fn subjects(call: &NativeCallContext<'_>, subject: &Dynamic) -> Outcome<(Vec<Listable>, bool)> {
    let Some(many) = subject.read_lock::<Array>() else {
        return Ok((vec![listable(call, subject)?], false));
    };
    let mut subjects = Vec::new();
    let mut is_cut = false;
    for subject in many.iter() {
        let subject = listable(call, subject)?;
        if subjects.contains(&subject) {
            continue;
        }
        if subjects.len() == MAX_SUBJECTS {
            is_cut = true;
            break;
        }
        subjects.push(subject);
    }
    Ok((subjects, is_cut))
}

fn listable(call: &NativeCallContext<'_>, subject: &Dynamic) -> Outcome<Listable> {
    if let Some(url) = subject.read_lock::<super::parts::Link>() {
        return Ok(host(&url.0.host));
    }
    let text = subject.clone().into_immutable_string();
    let text = text.map_err(|kind| fault(call, format!("a list is asked about a text, not about {kind}")))?;
    Ok(match Url::parse(&text) {
        Some(url) => host(&url.host),
        None => host(&text),
    })
}

fn host(text: &str) -> Listable {
    match text.parse::<IpAddr>() {
        Ok(ip) => Listable::Address(ip.to_canonical()),
        Err(_) => Listable::Domain(text.trim_end_matches('.').to_lowercase()),
    }
}
