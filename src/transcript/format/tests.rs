use super::*;
use crate::upstream::simulated::Answer;

fn parse(text: &str) -> Result<Script, Vec<String>> {
    Script::parse(Path::new("dir/a.smtp"), text)
        .map_err(|problems| problems.iter().map(Diagnostic::one_line).collect())
}

/// The steps in a few words each.
fn shown(text: &str) -> Vec<String> {
    parse(text).unwrap().steps.iter().map(|step| format!("{}: {}", step.line, show(&step.action))).collect()
}

fn show(action: &Action) -> String {
    match action {
        Action::Send(bytes) | Action::Message(bytes) => {
            String::from_utf8_lossy(bytes).escape_debug().to_string()
        }
        Action::Reply(lines) => lines.iter().map(ToString::to_string).collect::<Vec<_>>().join(" / "),
        Action::Said(pattern) => format!("said {pattern}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_dialogue() {
    let text = "\
# a comment
client 198.51.100.7

S: 220 ...
C: EHLO client.example.net
S: 250-...
S: 250 ...
C> \"MAIL\\x00\\r\"
S: 5yz ...
S: <closed>
";
    let expected = [
        "4: 220 ...",
        "5: EHLO client.example.net\\r\\n",
        "6: 250-... / 250 ...",
        "8: MAIL\\0\\r",
        "9: 5yz ...",
        "10: Closed",
    ];
    assert_eq!(shown(text), expected);
    assert_eq!(parse(text).unwrap().setup.client.to_string(), "198.51.100.7:40112");
}

#[test]
fn client_lines_are_taken_as_they_are() {
    let text = "C:  two spaces in front and one behind \nC:\nC:tight";
    assert_eq!(shown(text), ["1:  two spaces in front and one behind \\r\\n", "2: \\r\\n", "3: tight\\r\\n"]);
}

#[test]
fn replies_are_told_apart() {
    let text = "S: 250 one\nS: 250-two\nS: 250 two\nS: ...\nS: 250 three";
    assert_eq!(shown(text), ["1: 250 one", "2: 250-two / 250 two", "4: ...", "5: 250 three"]);
}

#[test]
fn upstream_answers_are_armed_before_they_are_needed() {
    let text = "\
C: RCPT TO:<a@example.org>
G: RCPT TO:<a@example.org>
U: 550-5.1.1 no
U: 550 5.1.1 never
S: 550-5.1.1 no
S: 550 5.1.1 never
G: .
U: 451 4.3.0 later
";
    let script = parse(text).unwrap();
    let kinds: Vec<_> =
        script.steps.iter().map(|step| (step.line, matches!(step.action, Action::Direct(_)))).collect();
    assert_eq!(
        kinds,
        [(3, true), (7, true), (1, false), (2, false), (5, false), (7, false)].map(|(line, answer)| {
            // The answer stands at its own line.
            (if answer && line == 7 { 8 } else { line }, answer)
        })
    );
    let Action::Direct(rule) = &script.steps[0].action else { panic!("an answer comes first") };
    assert_eq!(rule.answer, Answer::raw(b"550-5.1.1 no\r\n").then(Act::Say(b"550 5.1.1 never\r\n".to_vec())));
    assert_eq!((rule.cue, rule.pattern.as_deref()), (Cue::Any, Some("RCPT TO:<a@example.org>")));
    assert_eq!(rule.times, Some(1));
    let Action::Direct(rule) = &script.steps[1].action else { panic!("then the other") };
    assert_eq!((rule.cue, rule.pattern.as_deref()), (Cue::Dot, None));
}

#[test]
fn blocks() {
    let text = "\
policy 50-mine.rhai
| fn mail(session, mail) {
|   skip(\"x\");
| }
C: DATA
message
| Subject: x
|
| .dot
delivered
| ...
| .dot
";
    let script = parse(text).unwrap();
    let own = &script.setup.own_policies[0];
    assert_eq!((own.file.as_str(), own.text.lines().count()), ("50-mine.rhai", 3));
    assert_eq!(own.text.lines().nth(1), Some("  skip(\"x\");"));
    let Action::Message(bytes) = &script.steps[1].action else { panic!("a message") };
    assert_eq!(bytes, b"Subject: x\r\n\r\n.dot\r\n");
    assert!(
        matches!(&script.steps[2].action, Action::Assert(Assertion::Delivered(lines)) if lines.len() == 2)
    );
}

#[test]
fn assertions_and_other_steps() {
    let text = "\
C: QUIT
rule helo.bare-ip
rule none
shadow helo.not-fqdn
outcome rejected
offered SIZE ...
not offered STARTTLS
header Received: from ...
no header X-Spam
headers Received 2
delivered identical
upstream got 2 messages
upstream connections 0
upstream never ...evil...
wait 10m
handshake
handshake garbage
dns a.test A 192.0.2.1
upstream MAIL 421 4.3.2 bye
S: <silence 10s>
close
";
    assert_eq!(parse(text).unwrap().steps.len(), 21);
}

#[test]
fn every_mistake_is_found_at_once_with_its_place() {
    let text = "\
clint 192.0.2.1
C: x
hostname mx.test
S: hello
U: 250 ok
| lost
C> \"open
outcome lost
message
dns a.test A nowhere
message none.eml
";
    let expected = [
        "dir/a.smtp:1:1: unknown directive `clint`; did you mean `client`?",
        "dir/a.smtp:3:1: `hostname` has to stand before the dialogue",
        "dir/a.smtp:4:4: a reply begins with its code; as 250, 5yz, 500|501, or `...`",
        "dir/a.smtp:5:4: what the upstream answers stands behind the `G:` line to which it answers",
        "dir/a.smtp:6:1: a line with `|` belongs to `message`, `delivered` or `policy`",
        "dir/a.smtp:7:4: the quote is never closed",
        "dir/a.smtp:8:9: unknown outcome `lost`; one of: accepted, rejected, deferred, discarded, quarantined, aborted",
        "dir/a.smtp:9:1: `message` has no lines; they begin with `|`",
        "dir/a.smtp:10:14: \"nowhere\" is no A record",
    ];
    let found = parse(text).unwrap_err();
    assert_eq!(&found[..expected.len()], expected);
    assert!(found[expected.len()].starts_with("dir/a.smtp:11:9: dir/none.eml: cannot be read"), "{found:?}");
    assert_eq!(found.len(), expected.len() + 1);
}

#[test]
fn nothing_to_run_is_a_mistake() {
    assert_eq!(parse("client 192.0.2.1\n").unwrap_err(), ["dir/a.smtp: the transcript has no dialogue"]);
}

#[test]
fn other_files() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("world.smtp", "hostname mx.test\nclient 192.0.2.9\n");
    write("mail.eml", "Subject: x\n\nlast line without an end");
    write("a.smtp", "include world.smtp\nclient 192.0.2.7\nC: DATA\nmessage mail.eml\n");
    write("loop.smtp", "include loop.smtp\nC: x\n");
    write("talk.smtp", "C: x\n");
    write("b.smtp", "include talk.smtp\nC: x\n");
    let load = |name: &str| Script::load(&folder.path().join(name));

    let script = load("a.smtp").unwrap();
    assert_eq!(script.setup.hostname.as_deref(), Some("mx.test"));
    assert_eq!(script.setup.client.to_string(), "192.0.2.7:40112");
    let Action::Message(bytes) = &script.steps[1].action else { panic!("a message") };
    assert_eq!(bytes, b"Subject: x\r\n\r\nlast line without an end");

    for (name, wanted) in
        [("loop.smtp", "too deeply"), ("b.smtp", "has no dialogue"), ("none.smtp", "cannot be read")]
    {
        let problems = load(name).unwrap_err();
        assert!(problems.iter().any(|p| p.message.contains(wanted)), "{name}: {problems:?}");
    }
}
