//! Whether anybody can tell that Gatepost is there: the same sessions with a Postfix, once directly and once through Gatepost.
//!
//! What Postfix says about recipients and messages, and what it stores, has to be the same; every other difference is a row
//! of [`DIFFERENCES`], which is also a table for postmasters (`config/transparency.md`).

mod differences;
mod messages;
mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use self::differences::{DIFFERENCES, Difference};
use self::script::{Heard, Script};
use crate::harness::{Plan, Postfix, repository};

/// What both sides store and say may be compared as long as nobody's policies are in between: relaying is Postfix's to refuse.
fn plan(postfix: &Postfix) -> Plan {
    Plan::in_front_of(postfix)
        .domains("\"*\"")
        .listener("policies: { only: [relay] }")
        .listener(format!("limits: {{ message_size: {SIZE_LIMIT}B, errors: 20 }}"))
}

/// What the Postfix takes at most, so that both refuse the same.
const SIZE_LIMIT: usize = 1_048_576;

#[test]
fn a_hundred_sessions_are_the_same_with_and_without_gatepost() {
    let scripts = script::parse(include_str!("sessions.txt"));
    assert!(scripts.len() >= 100, "{} sessions", scripts.len());
    let (direct, behind) = (postfix(), postfix());
    let gatepost = plan(&behind).start();
    let mut found = Findings::default();
    for script in &scripts {
        found.compare(script, &script.play(direct.address()), &script.play(gatepost.address()));
    }
    found.compare_stored(&direct, &behind);
    found.check();
    gatepost.end_well();
}

fn postfix() -> Postfix {
    // What clients meet at a mail server that is not in a test: no limit on errors that only one of the two would reach.
    Postfix::with(&format!(
        "message_size_limit = {SIZE_LIMIT}\nsmtpd_error_sleep_time = 0\nsmtpd_delay_reject = no\n"
    ))
}

/// What was not the same.
#[derive(Debug, Default)]
struct Findings {
    unknown: Vec<String>,
    used: BTreeSet<usize>,
    steps: usize,
}

impl Findings {
    fn compare(&mut self, script: &Script, direct: &[Heard], through: &[Heard]) {
        for (at, direct) in direct.iter().enumerate() {
            self.steps += 1;
            let nothing = Heard { step: direct.step.clone(), answer: "(nothing)".to_owned() };
            let through = through.get(at).unwrap_or(&nothing);
            if direct.step == "EHLO" {
                self.compare_offers(script, direct, through);
            } else if direct != through {
                self.explain(script, direct, &direct.answer, &through.answer);
            }
        }
        if through.len() > direct.len() {
            self.unknown.push(format!("[{}] Gatepost goes on: {:?}", script.name, &through[direct.len()..]));
        }
    }

    /// EHLO's answer line by line, in any order.
    fn compare_offers(&mut self, script: &Script, direct: &Heard, through: &Heard) {
        let lines = |heard: &Heard| heard.answer.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        let (ours, theirs) = (lines(through), lines(direct));
        for only_direct in theirs.difference(&ours) {
            self.explain(script, direct, only_direct, "");
        }
        for only_through in ours.difference(&theirs) {
            self.explain(script, direct, "", only_through);
        }
    }

    fn explain(&mut self, script: &Script, heard: &Heard, direct: &str, through: &str) {
        let row = DIFFERENCES.iter().position(|row| row.explains(&heard.step, direct, through));
        match row {
            Some(row) => _ = self.used.insert(row),
            None => self.unknown.push(format!(
                "[{}] {}{}\n    directly: {direct}\n    through:  {through}",
                script.name,
                heard.step,
                if heard.is_the_upstreams() { " (the upstream's own word)" } else { "" }
            )),
        }
    }

    /// What was stored, message by message.
    fn compare_stored(&mut self, direct: &Postfix, behind: &Postfix) {
        for mailbox in ["suzie", "joe", "load"] {
            let sent = stored(direct, mailbox);
            let through = stored(behind, mailbox);
            for (name, direct) in &sent {
                match through.get(name) {
                    Some(through) if through == direct => {}
                    other => {
                        self.unknown.push(format!("[{name}] stored for {mailbox}:\n{direct:?}\n{other:?}"))
                    }
                }
            }
            let more: Vec<_> = through.keys().filter(|name| !sent.contains_key(*name)).collect();
            assert!(more.is_empty(), "only through Gatepost: {more:?}");
        }
    }

    fn check(&self) {
        assert!(
            self.unknown.is_empty(),
            "{} differences that are on no list:\n{}",
            self.unknown.len(),
            self.unknown.join("\n")
        );
        let dead: Vec<&Difference> = DIFFERENCES
            .iter()
            .enumerate()
            .filter(|(row, _)| !self.used.contains(row))
            .map(|(_, row)| row)
            .collect();
        assert!(dead.is_empty(), "no session shows these differences any more: {dead:#?}");
    }
}

/// What a Postfix stored in a mailbox: for each session the messages without the fields that are declared to differ, sorted.
fn stored(postfix: &Postfix, mailbox: &str) -> BTreeMap<String, Vec<String>> {
    let mut stored: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in postfix.all_delivered(mailbox) {
        let text = String::from_utf8_lossy(&message).into_owned();
        let session =
            text.lines().find_map(|line| line.strip_prefix("X-Session: ")).unwrap_or("?").to_owned();
        stored.entry(session).or_default().push(without_trace(&text));
    }
    stored.values_mut().for_each(|messages| messages.sort());
    stored
}

/// A stored message without the trace fields that Postfix and Gatepost put on top, and with what they say about the client.
fn without_trace(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let mut field = line.to_owned();
        while let Some(folded) = lines.next_if(|next| next.starts_with([' ', '\t'])) {
            field.push_str(folded);
        }
        let name = field.split(':').next().unwrap_or_default();
        match name {
            "Return-Path" | "X-Original-To" | "Delivered-To" => kept.push_str(&field),
            "Received" if field.contains("by mail.example.org (Postfix)") => kept.push_str(&hop(&field)),
            "Received" if field.contains("by mx.example.org") => {}
            "Authentication-Results" if field.contains("mx.example.org;") => {}
            _ => {
                kept.push_str(&field);
                lines.for_each(|rest| kept.push_str(rest));
                break;
            }
        }
    }
    kept
}

/// Postfix's own field without its queue id and the time.
fn hop(field: &str) -> String {
    let id = regex::Regex::new(r"(?s) id [0-9A-Za-z]+|;[^;]*$").unwrap();
    id.replace_all(field, "").into_owned() + "\n"
}

#[test]
fn the_list_for_postmasters_is_the_one_that_is_tested() {
    let file = repository().join("config/transparency.md");
    let text = differences::page();
    if std::env::var_os("GATEPOST_BLESS").is_some() {
        fs::write(&file, text).unwrap();
        return;
    }
    assert_eq!(fs::read_to_string(&file).unwrap_or_default(), text, "write it anew with GATEPOST_BLESS=1");
}
