//! The test suite of RFC 7208 (openspf.org), all of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::checks::{Checker, Clock, Settings};
use crate::dns::responder::{Data, Fault, Responder, Zone};
use crate::dns::{Kind, Resolver};

const SUITE: &str = "tests/suites/spf/rfc7208-tests.yml";

/// One document of the suite: its cases and the zone they play in.
#[derive(serde::Deserialize)]
struct Scenario {
    description: String,
    tests: BTreeMap<String, Case>,
    zonedata: BTreeMap<String, Vec<Value>>,
}

#[derive(serde::Deserialize)]
struct Case {
    helo: String,
    host: String,
    mailfrom: String,
    result: Value,
    #[serde(default)]
    explanation: Option<String>,
}

fn scenarios() -> Vec<Scenario> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(SUITE)).unwrap();
    text.split("\n---\n").skip(1).map(|document| serde_yaml::from_str(document).unwrap()).collect()
}

fn zone(data: &BTreeMap<String, Vec<Value>>) -> Zone {
    let mut zone = Zone::new();
    for (name, records) in data {
        let has_txt = records.iter().any(|record| record.get("TXT").is_some());
        for record in records {
            match record {
                Value::String(fault) if fault == "TIMEOUT" => add_timeouts(&mut zone, name, records),
                record => add(&mut zone, name, record, has_txt),
            }
        }
    }
    zone
}

/// `TIMEOUT`: no answer for types that are not listed. (The types SPF and TXT are one to us.)
fn add_timeouts(zone: &mut Zone, name: &str, records: &[Value]) {
    let listed = |kind: &str| records.iter().any(|record| record.get(kind).is_some());
    for (kind, word) in [(Kind::A, "A"), (Kind::Aaaa, "AAAA"), (Kind::Mx, "MX"), (Kind::Ptr, "PTR")] {
        if !listed(word) {
            zone.fault_for(name, kind, Fault::Drop);
        }
    }
    if !listed("TXT") && !listed("SPF")
        || records.iter().any(|record| record.get("TXT") == Some(&Value::from("NONE")))
    {
        zone.fault_for(name, Kind::Txt, Fault::Drop);
    }
}

fn add(zone: &mut Zone, name: &str, record: &Value, has_txt: bool) {
    let (kind, data) = record.as_object().unwrap().iter().next().unwrap();
    match (kind.as_str(), data) {
        (_, Value::String(none)) if none == "NONE" => {}
        ("SPF", _) if has_txt => {}
        // A record without any string cannot be on the wire (RFC 1035 3.3.14); one empty string comes nearest.
        ("SPF" | "TXT", Value::Array(parts)) if parts.is_empty() => _ = zone.txt(name, ""),
        ("SPF" | "TXT", Value::Array(parts)) => {
            let parts = parts.iter().map(|part| bytes(part.as_str().unwrap())).collect();
            zone.add(name, Data::TxtParts(parts));
        }
        ("SPF" | "TXT", text) => _ = zone.add(name, Data::Txt(bytes(text.as_str().unwrap()))),
        ("MX", mx) => {
            let preference = u16::try_from(mx[0].as_u64().unwrap()).unwrap();
            zone.add(name, Data::Mx(preference, mx[1].as_str().unwrap().to_owned()));
        }
        (kind, data) => _ = zone.add(name, Data::parse(kind, data.as_str().unwrap()).unwrap()),
    }
}

/// The suite writes octets as code points.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

async fn checker(responder: &Responder) -> Checker {
    let settings = crate::dns::Settings { timeout: Duration::from_millis(400), ..responder.settings() };
    let resolver = Resolver::new(settings, Arc::new(())).unwrap();
    Checker::new(
        resolver,
        Settings { hostname: "receiver.example".into(), ..Settings::default() },
        Clock::default(),
    )
}

/// `None`: as it should be.
async fn complaint(checker: &Checker, name: &str, case: &Case) -> Option<String> {
    let client = case.host.parse().unwrap();
    let sender = case.mailfrom.rsplit_once('@').or(Some(("", case.mailfrom.as_str())));
    let found = match sender {
        Some((local, domain)) if !domain.is_empty() => {
            checker.spf_of(client, &case.helo, local, domain).await
        }
        _ => checker.spf_helo(client, &case.helo).await,
    };
    let accepted: Vec<&str> = match &case.result {
        Value::Array(results) => results.iter().filter_map(Value::as_str).collect(),
        result => result.as_str().into_iter().collect(),
    };
    let explanation = if found.explanation.is_empty() { "DEFAULT" } else { &found.explanation };
    if !accepted.contains(&found.result.name()) {
        return Some(format!("{name}: {accepted:?} expected: {found:?}"));
    }
    let wrong = case.explanation.as_ref().filter(|wanted| !wanted.eq_ignore_ascii_case(explanation));
    wrong.map(|wanted| format!("{name}: explanation {wanted:?} expected: {found:?}"))
}

#[tokio::test]
async fn every_case_of_the_rfcs_suite() {
    let (mut complaints, mut count) = (Vec::new(), 0);
    for scenario in scenarios() {
        let responder = Responder::start(zone(&scenario.zonedata)).await.unwrap();
        let checker = checker(&responder).await;
        for (name, case) in &scenario.tests {
            count += 1;
            let complaint = complaint(&checker, name, case).await;
            complaints.extend(complaint.map(|complaint| format!("{}: {complaint}", scenario.description)));
        }
    }
    assert!(complaints.is_empty(), "{} of {count}:\n{}", complaints.len(), complaints.join("\n"));
    assert_eq!(count, 203);
}
