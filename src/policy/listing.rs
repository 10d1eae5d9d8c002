//! Lists that are asked by DNS (RFC 5782): how policies write them, and what an answer weighs.
//!
//! A list is written as Postfix's postscreen writes it: `zone`, `zone*3`, `zone=127.0.0.2*3`, `zone=127.0.0.[2..11]*3`,
//! `zone=127.0.[0;1].2`. Without codes every address in 127.0.0.0/8 counts; without a weight it is 1.

use std::net::Ipv4Addr;

use super::question::{Listed, MAX_ZONES};

/// Octets of one specification.
const MAX_SPEC: usize = 512;

/// A list, which of its codes count, and for how much.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ZoneSpec {
    pub(super) zone: String,
    codes: Option<Codes>,
    weight: f64,
}

/// Addresses that count: for each octet the ranges that it may be in.
#[derive(Clone, Debug, PartialEq)]
struct Codes([Vec<(u8, u8)>; 4]);

impl ZoneSpec {
    /// How to write one.
    pub(super) const HELP: &str =
        "write a zone, with codes and a weight where they matter: \"zen.example.org=127.0.0.[2..11]*3\"";

    /// Reads one; `None` if it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = Some(text.trim()).filter(|text| text.len() <= MAX_SPEC)?;
        let (text, weight) = match text.rsplit_once('*') {
            Some((text, weight)) => (text.trim_end(), weight.trim().parse::<f64>().ok()?),
            None => (text, 1.0),
        };
        Self::weighing(text, weight)
    }

    /// `zone` or `zone=codes`, with this weight.
    pub(super) fn weighing(text: &str, weight: f64) -> Option<Self> {
        let (zone, codes) = match text.split_once('=') {
            Some((zone, codes)) => (zone.trim(), Some(Codes::parse(codes.trim())?)),
            None => (text.trim(), None),
        };
        let zone = zone.trim_end_matches('.').to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let is_zone = zone.len() <= 180 && zone.contains('.') && zone.split('.').all(is_label);
        (is_zone && weight.is_finite()).then_some(Self { zone, codes, weight })
    }

    fn counts(&self, code: Ipv4Addr) -> bool {
        self.codes.as_ref().is_none_or(|codes| codes.hold(code))
    }
}

impl Codes {
    fn parse(text: &str) -> Option<Self> {
        let mut octets = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (octet, after) = match rest.strip_prefix('[') {
                Some(inside) => inside.split_once(']')?,
                None => rest.split_at(rest.find('.').unwrap_or(rest.len())),
            };
            octets.push(ranges(octet)?);
            rest = match after {
                "" => "",
                after => after.strip_prefix('.').filter(|rest| !rest.is_empty())?,
            };
        }
        octets.try_into().ok().map(Self)
    }

    fn hold(&self, code: Ipv4Addr) -> bool {
        let mut pairs = self.0.iter().zip(code.octets());
        pairs.all(|(ranges, octet)| ranges.iter().any(|(low, high)| (*low..=*high).contains(&octet)))
    }
}

/// `2`, `2..11`, or several of them between semicolons.
fn ranges(text: &str) -> Option<Vec<(u8, u8)>> {
    let range = |part: &str| match part.split_once("..") {
        Some((low, high)) => Some((low.parse().ok()?, high.parse().ok()?)).filter(|(low, high)| low <= high),
        None => part.parse().ok().map(|octet| (octet, octet)),
    };
    text.split(';').map(range).collect()
}

/// What lists said, in the words of policies.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Verdict {
    /// `listed`, `not_listed`, or `error` where no list says yes and some could not be asked.
    pub(super) result: &'static str,
    /// The sum of what matched, for the subject that weighs most.
    pub(super) weight: f64,
    /// The lists that matched, for any subject.
    pub(super) zones: Vec<String>,
    /// The codes that matched, for any subject.
    pub(super) codes: Vec<String>,
    /// The lists that could not be asked, or answered what no list answers.
    pub(super) errors: Vec<String>,
    /// The subjects that are listed.
    pub(super) subjects: Vec<String>,
}

impl Verdict {
    /// Weighs the answers. Each specification that matches counts once for a subject, however many codes match.
    pub(super) fn of(specs: &[ZoneSpec], answers: &[Listed]) -> Self {
        let mut verdict = Self::default();
        let mut subjects: Vec<(&str, f64)> = Vec::new();
        for answer in answers {
            if answer.error.is_some() {
                add(&mut verdict.errors, &answer.zone);
            }
            for spec in specs.iter().filter(|spec| spec.zone == answer.zone) {
                let matching: Vec<_> = answer.codes.iter().filter(|code| spec.counts(**code)).collect();
                if matching.is_empty() {
                    continue;
                }
                add(&mut verdict.zones, &answer.zone);
                matching.iter().for_each(|code| add(&mut verdict.codes, &code.to_string()));
                match subjects.iter_mut().find(|(subject, _)| *subject == answer.subject) {
                    Some((_, weight)) => *weight += spec.weight,
                    None => subjects.push((&answer.subject, spec.weight)),
                }
            }
        }
        verdict.weight = subjects.iter().map(|(_, weight)| *weight).reduce(f64::max).unwrap_or_default();
        verdict.subjects = subjects.into_iter().map(|(subject, _)| subject.to_owned()).collect();
        verdict.result = verdict.word();
        verdict
    }

    /// The same where there were more subjects than one question may have: no list was asked about all.
    pub(super) fn cut(mut self, specs: &[ZoneSpec]) -> Self {
        specs.iter().for_each(|spec| add(&mut self.errors, &spec.zone));
        self.result = self.word();
        self
    }

    const fn word(&self) -> &'static str {
        match (self.zones.is_empty(), self.errors.is_empty()) {
            (false, _) => "listed",
            (true, true) => "not_listed",
            (true, false) => "error",
        }
    }
}

/// Adds a text that is not there yet.
fn add(texts: &mut Vec<String>, text: &str) {
    if !texts.iter().any(|known| known == text) {
        texts.push(text.to_owned());
    }
}

/// The zones of specifications, each once, and no more than one question may have.
pub(super) fn zones(specs: &[ZoneSpec]) -> Option<Vec<String>> {
    let mut zones = Vec::new();
    specs.iter().for_each(|spec| add(&mut zones, &spec.zone));
    (zones.len() <= MAX_ZONES).then_some(zones)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(zone: &str, subject: &str, codes: &[[u8; 4]]) -> Listed {
        Listed {
            zone: zone.to_owned(),
            subject: subject.to_owned(),
            codes: codes.iter().map(|code| Ipv4Addr::from(*code)).collect(),
            error: None,
        }
    }

    fn specs(texts: &[&str]) -> Vec<ZoneSpec> {
        texts.iter().map(|text| ZoneSpec::parse(text).unwrap()).collect()
    }

    #[test]
    fn specifications() {
        for (text, zone, weight, counting, not) in [
            ("zen.test", "zen.test", 1.0, [127, 9, 9, 9], None),
            ("Zen.Test.*2", "zen.test", 2.0, [127, 0, 0, 2], None),
            ("zen.test*-0.5", "zen.test", -0.5, [127, 0, 0, 2], None),
            ("zen.test=127.0.0.2*3", "zen.test", 3.0, [127, 0, 0, 2], Some([127, 0, 0, 3])),
            ("zen.test=127.0.0.[2..4;10] * 3", "zen.test", 3.0, [127, 0, 0, 10], Some([127, 0, 0, 5])),
            ("zen.test=127.[0..255].0.[1;4]", "zen.test", 1.0, [127, 7, 0, 4], Some([127, 7, 1, 4])),
        ] {
            let spec = ZoneSpec::parse(text).unwrap();
            assert_eq!((spec.zone.as_str(), spec.weight), (zone, weight), "{text}");
            assert!(spec.counts(counting.into()), "{text}");
            assert!(not.is_none_or(|code| !spec.counts(code.into())), "{text}");
        }
        for text in [
            "",
            "zone",
            "a..b",
            "zen.test*",
            "zen.test*x",
            "zen.test*inf",
            "zen.test=",
            "zen.test=127.0.0",
            "zen.test=127.0.0.2.",
            "zen.test=127.0.0.[4..2]",
            "zen.test=127.0.0.[2",
            "zen.test=127.0.0.999",
            "zen test.org",
            "zen.test=127.0.0.2.1",
        ] {
            assert_eq!(ZoneSpec::parse(text), None, "{text}");
        }
    }

    #[test]
    fn weights_add_up_for_one_subject() {
        let specs = specs(&["a.test=127.0.0.2*2", "a.test=127.0.0.[3..4]*1", "b.test*4", "white.test*-3"]);
        let one = [
            listed("a.test", "192.0.2.1", &[[127, 0, 0, 3], [127, 0, 0, 2], [127, 0, 0, 4]]),
            listed("b.test", "192.0.2.1", &[]),
            listed("white.test", "192.0.2.1", &[[127, 0, 0, 2]]),
        ];
        let verdict = Verdict::of(&specs, &one);
        assert_eq!((verdict.result, verdict.weight), ("listed", 0.0));
        assert_eq!(verdict.zones, ["a.test", "white.test"]);
        assert_eq!(verdict.codes, ["127.0.0.2", "127.0.0.3", "127.0.0.4"]);
        let two = [
            listed("a.test", "x.test", &[[127, 0, 0, 2]]),
            listed("a.test", "y.test", &[[127, 0, 0, 3]]),
            listed("b.test", "z.test", &[]),
        ];
        let verdict = Verdict::of(&specs, &two);
        assert_eq!((verdict.weight, verdict.subjects.len()), (2.0, 2), "the heaviest subject, not their sum");
    }

    /// What was left out is never a no.
    #[test]
    fn a_cut_question_is_an_error() {
        let specs = specs(&["a.test"]);
        let verdict = Verdict::of(&specs, &[listed("a.test", "x.test", &[])]).cut(&specs);
        assert_eq!((verdict.result, verdict.errors.as_slice()), ("error", &["a.test".to_owned()][..]));
        let verdict = Verdict::of(&specs, &[listed("a.test", "x.test", &[[127, 0, 0, 2]])]).cut(&specs);
        assert_eq!((verdict.result, verdict.errors.len()), ("listed", 1));
    }

    /// A list that cannot be asked is never a no; what others say stays.
    #[test]
    fn errors_keep_what_is_known() {
        let broken = Listed { error: Some("timeout".to_owned()), ..listed("a.test", "192.0.2.1", &[]) };
        let specs = specs(&["a.test", "b.test*2"]);
        let verdict = Verdict::of(&specs, &[broken.clone(), listed("b.test", "192.0.2.1", &[])]);
        assert_eq!((verdict.result, verdict.errors.as_slice()), ("error", &["a.test".to_owned()][..]));
        let verdict = Verdict::of(&specs, &[broken, listed("b.test", "192.0.2.1", &[[127, 0, 0, 2]])]);
        assert_eq!((verdict.result, verdict.weight, verdict.errors.len()), ("listed", 2.0, 1));
        let other = listed("b.test", "192.0.2.1", &[[127, 0, 0, 9]]);
        let narrow = [ZoneSpec::parse("b.test=127.0.0.2").unwrap()];
        assert_eq!(Verdict::of(&narrow, &[other]).result, "not_listed");
    }
}
