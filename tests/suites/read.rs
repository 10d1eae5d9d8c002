// The suites of this folder as tests read them: unit tests of the checks, and end-to-end tests through the real program. Who
// includes this file has `Data`, `Fault`, `Kind` and `Zone` of the DNS in scope.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::Value;

use super::{Data, Fault, Kind, Zone};

/// One document of the suite of RFC 7208: its cases and the zone they play in.
pub(crate) struct Scenario {
    pub(crate) description: String,
    pub(crate) cases: Vec<SpfCase>,
    pub(crate) zone: Zone,
}

/// One case of the suite of RFC 7208.
pub(crate) struct SpfCase {
    pub(crate) name: String,
    pub(crate) client: IpAddr,
    pub(crate) helo: String,
    /// Local part and domain; `None` for a null sender.
    pub(crate) sender: Option<(String, String)>,
    /// Any of them is right.
    pub(crate) results: Vec<String>,
    /// What the domain says about a failure; `DEFAULT` where it says nothing.
    pub(crate) explanation: Option<String>,
}

/// One case of the suites of our own.
pub(crate) struct OwnCase {
    pub(crate) id: String,
    pub(crate) message: Vec<u8>,
    /// Any of them is right.
    pub(crate) results: Vec<String>,
    /// What else the case says: `ip`, `helo`, `mail_from`.
    pub(crate) envelope: BTreeMap<String, String>,
}

/// A file of this folder.
pub(crate) fn file(path: &str) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/suites", path].iter().collect();
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn crlf(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

/// The suite of RFC 7208.
pub(crate) fn scenarios() -> Vec<Scenario> {
    #[derive(serde::Deserialize)]
    struct Document {
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
    let case = |(name, case): (String, Case)| {
        let sender = case.mailfrom.rsplit_once('@').unwrap_or(("", &case.mailfrom));
        let sender = Some(sender).filter(|(_, domain)| !domain.is_empty());
        SpfCase {
            name,
            client: case.host.parse().unwrap(),
            sender: sender.map(|(local, domain)| (local.to_owned(), domain.to_owned())),
            helo: case.helo,
            results: words(&case.result),
            explanation: case.explanation,
        }
    };
    let text = String::from_utf8(file("spf/rfc7208-tests.yml")).unwrap();
    let documents = text.split("\n---\n").skip(1).map(|text| serde_yaml::from_str::<Document>(text).unwrap());
    let scenario = |document: Document| Scenario {
        zone: zone(&document.zonedata),
        description: document.description,
        cases: document.tests.into_iter().map(case).collect(),
    };
    documents.map(scenario).collect()
}

fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Array(results) => results.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        result => result.as_str().map(str::to_owned).into_iter().collect(),
    }
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
            let parts = parts.iter().map(|part| octets(part.as_str().unwrap())).collect();
            zone.add(name, Data::TxtParts(parts));
        }
        ("SPF" | "TXT", text) => _ = zone.add(name, Data::Txt(octets(text.as_str().unwrap()))),
        ("MX", mx) => _ = zone.add(name, exchanger(mx)),
        (kind, data) => _ = zone.add(name, Data::parse(kind, data.as_str().unwrap()).unwrap()),
    }
}

fn exchanger(mx: &Value) -> Data {
    let preference = u16::try_from(mx[0].as_u64().unwrap()).unwrap();
    Data::Mx(preference, mx[1].as_str().unwrap().to_owned())
}

/// The suite writes octets as code points.
fn octets(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

/// A suite of our own: its zone and its cases.
pub(crate) fn own(path: &str) -> (Zone, Vec<OwnCase>) {
    let suite: Value = serde_json::from_slice(&file(path)).unwrap();
    let case = |case: &Value| {
        let fields = case.as_object().unwrap().iter();
        OwnCase {
            id: case["id"].as_str().unwrap().to_owned(),
            message: BASE64.decode(case["message_base64"].as_str().unwrap().as_bytes()).unwrap(),
            results: words(&case["accept"]),
            envelope: fields
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
        }
    };
    (own_zone(&suite["zone"]), suite["cases"].as_array().unwrap().iter().map(case).collect())
}

/// Names with `[type, data]`, or `[fault]`.
fn own_zone(names: &Value) -> Zone {
    let mut zone = Zone::new();
    for (name, records) in names.as_object().unwrap() {
        for record in records.as_array().unwrap() {
            match record[0].as_str().unwrap() {
                "SERVFAIL" => zone.fault(name, Fault::ServFail),
                "TIMEOUT" => zone.fault(name, Fault::Drop),
                "TRUNC" => zone.fault(name, Fault::Truncate { tcp: true }),
                "DELAY" => zone.fault(name, Fault::Delay(Duration::from_millis(100))),
                "MX" => zone.add(name, exchanger(&record[1])),
                "TXT" if record[1].is_array() => zone.add(
                    name,
                    Data::TxtParts(words(&record[1]).into_iter().map(String::into_bytes).collect()),
                ),
                kind => zone.add(name, Data::parse(kind, record[1].as_str().unwrap()).unwrap()),
            };
        }
    }
    zone
}

/// A message with the records that it needs in front.
pub(crate) fn signed(path: &str) -> (Zone, Vec<u8>) {
    let text = String::from_utf8(file(path)).unwrap();
    let (records, message) = text.split_once("\n\n").unwrap();
    let mut zone = Zone::new();
    for record in records.lines() {
        let (name, record) = record.split_once(' ').unwrap();
        zone.txt(name, record);
    }
    (zone, crlf(message))
}
