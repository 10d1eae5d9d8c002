//! Exceptions, wishes of domains and tenants: what loads, and what is refused in which words.

use super::*;
use crate::policy::sources::{DomainSource, ExceptionSource, Places, Setting};

const HELO: &str = "fn helo(session) { reject(\"bare\", \"no\"); }\nfn message(session, mail, message) { reject(\"late\", \"no\"); }";
const SIZE: &str = "const SETTINGS = #{ max: 5 };\nfn rcpt(session, mail, rcpt) { if rcpt.setting(\"max\") > 4 { reject(\"large\", \"no\"); } }";

fn set() -> (TempDir, Sources) {
    folder(&[("10-helo.rhai", HELO), ("25-size.rhai", SIZE)])
}

fn exception(target: &str) -> ExceptionSource {
    ExceptionSource {
        target: target.to_owned(),
        mode: Mode::Off,
        clients: Vec::new(),
        recipients: Vec::new(),
        listeners: vec!["mx".to_owned()],
        until: None,
        why: "because".to_owned(),
    }
}

#[test]
fn exceptions_that_cannot_be_are_refused() {
    let recipients =
        |target: &str| ExceptionSource { recipients: vec!["a@example.org".to_owned()], ..exception(target) };
    let table = [
        (exception("hello"), "there is no policy `hello`; did you mean `helo`?"),
        (exception("helo.bar"), "the policy `helo` has no rule `bar`; did you mean `bare`?"),
        (exception("relay.denied"), "`relay` is a gate, and a gate knows no exceptions"),
        (
            ExceptionSource { mode: Mode::Enforce, ..exception("helo.bare") },
            "an exception only softens; an exception is",
        ),
        (
            ExceptionSource { listeners: vec!["mxx".to_owned()], ..exception("helo.bare") },
            "there is no listener `mxx`; did you mean `mx`?",
        ),
        (
            recipients("helo.bare"),
            "`helo.bare` speaks at helo, where no recipient is known yet; name the clients",
        ),
        (recipients("helo"), "`helo` speaks at helo, where no recipient is known yet; name the clients"),
        (
            ExceptionSource { recipients: vec!["a b".to_owned()], ..exception("size") },
            "`a b` is no address, domain or network",
        ),
        (
            ExceptionSource { recipients: vec!["192.0.2.0/24".to_owned()], ..exception("size") },
            "`192.0.2.0/24` is a network, and recipients are addresses or domains; name networks as `clients`",
        ),
    ];
    for (exception, problem) in table {
        let (dir, mut sources) = set();
        let target = exception.target.clone();
        sources.exceptions.push(exception);
        let errors = errors(&sources, dir.path());
        let expected = format!("gatepost.yaml: policies.exceptions: {problem}");
        assert!(
            matches!(errors.as_slice(), [error] if error.starts_with(&expected)),
            "{target}: {errors:#?}"
        );
    }
    let (_dir, mut sources) = set();
    sources.exceptions = vec![recipients("helo.late"), recipients("size.large"), recipients("size")];
    assert_eq!(Policies::load(&sources).unwrap().exceptions().count(), 3, "recipients are known there");
}

/// What is said of these sources, none of which is an error.
fn warned(dir: &TempDir, sources: &Sources) -> Vec<String> {
    let prefix = format!("{}/", dir.path().display());
    let policies = Policies::load(sources).unwrap();
    policies.warnings().iter().map(|warning| warning.one_line().replace(&prefix, "")).collect()
}

#[test]
fn exceptions_that_mean_all_or_nobody_are_warned_of() {
    let to =
        |recipient: &str| ExceptionSource { recipients: vec![recipient.to_owned()], ..exception("size") };
    for (exception, warning) in [
        (
            ExceptionSource { listeners: Vec::new(), ..exception("helo.bare") },
            Some(
                "without a condition, `helo.bare` is `off` for everybody; name clients, recipients or listeners; a mode for all is one of policies.modes",
            ),
        ),
        (to("nonsense"), Some("`nonsense` is at none of our domains")),
        (
            to("jane@exmaple.org"),
            Some("`jane@exmaple.org` is at none of our domains; did you mean `example.org`?"),
        ),
        (to("jane@example.org"), None),
        (to("Example.ORG"), None),
        (to(".sub.example.net"), None),
        (to("partner.test"), None),
        (to("postmaster"), None),
    ] {
        let (dir, mut sources) = set();
        sources.receive_for(&["example.org".to_owned(), ".example.net".to_owned()]);
        sources.exceptions.push(exception);
        let expected = warning.map(|text| format!("gatepost.yaml: policies.exceptions: {text}"));
        assert_eq!(warned(&dir, &sources), Vec::from_iter(expected));
    }
}

/// A policy for a domain that is misspelt, or in the wrong place, would never be asked, in silence.
#[test]
fn tenants_that_are_never_asked_are_warned_of() {
    let own = "fn rcpt(session, mail, rcpt) { reject(\"no\", \"no\"); }";
    let (dir, mut sources) = folder(&[
        ("domains/example.org/10-t.rhai", own),
        ("domains/sub.example.net/10-t.rhai", own),
        ("domains/exmaple.org/10-t.rhai", own),
        ("domains/other.test/10-t.rhai", own),
        ("domains/10-t.rhai", own),
        ("domain/example.org/10-t.rhai", own),
        ("notes/10-t.rhai", own),
    ]);
    sources.domains.insert("exmaple.org".to_owned(), DomainSource::default());
    sources.domains.insert(".net".to_owned(), DomainSource::default());
    assert_eq!(
        warned(&dir, &sources).len(),
        3,
        "where nobody said which domains are ours, none is a stranger's"
    );
    sources.receive_for(&["example.org".to_owned(), ".example.net".to_owned()]);
    let inside = "is none of our domains: these policies are asked about mail from inside only";
    assert_eq!(
        warned(&dir, &sources),
        [
            "domain: no policy is read from this folder; did you mean `domains`?".to_owned(),
            "domains/10-t.rhai: this belongs to no domain and is never asked; put it into a folder with a domain's name, \
             or for all domains into the folder of the policies"
                .to_owned(),
            format!("domains/exmaple.org: `exmaple.org` {inside}; did you mean `example.org`?"),
            format!(
                "domains/other.test: `other.test` {inside}; name the folder as one of `domains`, or add the domain there"
            ),
            "notes: no policy is read from this folder; put its files into the folder above it".to_owned(),
            "gatepost.yaml: policies.domains.exmaple.org: this is none of our domains, and holds for mail from inside only; \
             did you mean `example.org`?"
                .to_owned(),
        ]
    );
}

#[test]
fn problems_with_the_configuration_have_their_place() {
    let (dir, mut sources) = set();
    sources.exceptions.push(exception("hello"));
    let place = crate::diagnostic::Position::new(1, 3, 5);
    sources.places = Places {
        text: Some("x: hello".into()),
        keys: [("policies.exceptions.0.target".to_owned(), place)].into(),
    };
    assert_eq!(
        errors(&sources, dir.path()),
        ["gatepost.yaml:1:3: policies.exceptions: there is no policy `hello`; did you mean `helo`?"]
    );
}

#[test]
fn an_exception_holds_through_its_last_day() {
    let (_dir, mut sources) = set();
    sources.exceptions = vec![
        ExceptionSource { until: Some("2027-03-31".parse().unwrap()), ..exception("helo.bare") },
        ExceptionSource { until: Some("2028-01-01".parse().unwrap()), ..exception("size") },
    ];
    for (today, in_force, until) in [
        ("2027-03-31", 2, Some("2027-03-31")),
        ("2027-04-01", 1, Some("2028-01-01")),
        ("2028-01-02", 0, None),
    ] {
        sources.today = Some(today.parse().unwrap());
        let policies = Policies::load(&sources).unwrap();
        assert_eq!(policies.exceptions().count(), in_force, "{today}");
        assert_eq!(policies.until().map(|day| day.to_string()).as_deref(), until, "{today}");
        assert_eq!(policies.warnings().len(), 2 - in_force, "{today}");
    }
    let warnings =
        Policies::load(&sources).unwrap().warnings().iter().map(Diagnostic::one_line).collect::<Vec<_>>();
    assert!(
        warnings[0].contains("the exception for `helo.bare` ended on 2027-03-31 and is not heeded"),
        "{warnings:?}"
    );
}

#[test]
fn wishes_of_domains_are_checked_as_the_configuration_is() {
    let modes =
        |key: &str, mode| DomainSource { modes: [(key.to_owned(), mode)].into(), ..DomainSource::default() };
    let settings = |policy: &str, name: &str, value| DomainSource {
        settings: [(policy.to_owned(), [(name.to_owned(), value)].into())].into(),
        ..DomainSource::default()
    };
    let table = [
        (modes("siez", Mode::Off), "modes: there is no policy `siez`; did you mean `size`?"),
        (modes("size.lagre", Mode::Off), "modes: `size` has no rule `lagre`; did you mean `large`?"),
        (modes("relay", Mode::Off), "modes: `relay` cannot be `off`: a gate is always enforced"),
        (
            modes("helo.bare", Mode::Off),
            "modes: `helo.bare` says nothing at rcpt; only what is asked at rcpt",
        ),
        (
            settings("siez", "max", Setting::Integer(1)),
            "settings: there is no policy `siez`; did you mean `size`?",
        ),
        (settings("size", "mxa", Setting::Integer(1)), "settings.size: there is no setting `mxa`"),
        (
            settings("size", "max", Setting::Bool(true)),
            "settings.size.max must be a whole number; write it like its default, `max: 5`",
        ),
    ];
    for (wishes, problem) in table {
        let (dir, mut sources) = set();
        sources.domains.insert("example.net".to_owned(), wishes);
        let errors = errors(&sources, dir.path());
        let expected = format!("gatepost.yaml: policies.domains.example.net.{problem}");
        assert!(matches!(errors.as_slice(), [error] if error.starts_with(&expected)), "{errors:#?}");
    }
}

#[test]
fn a_tenants_policies_are_named_after_it_and_have_their_stages() {
    let own = "/// Ours.\nfn rcpt(session, mail, rcpt) { reject(\"no\", \"no\"); }";
    let (dir, mut sources) = folder(&[("domains/Example.NET/10-own.rhai", own), ("10-own.rhai", HELO)]);
    sources.modes.insert("example.net/own.no".to_owned(), Mode::Shadow);
    sources.listeners.push(("few".to_owned(), Selection::Only(vec!["relay".to_owned()])));
    let policies = Policies::load(&sources).unwrap();
    let rule = policies.rules().iter().find(|rule| &*rule.rule == "example.net/own.no").unwrap();
    assert_eq!(
        (&*rule.policy, &*rule.file, &*rule.doc),
        ("example.net/own", "domains/Example.NET/10-own.rhai", "Ours.")
    );
    assert_eq!((rule.mode, rule.origin), (Mode::Shadow, crate::policy::ModeOrigin::ConfiguredRule));
    let asked = |listener: &str, domain: &str| {
        let plan = policies.plan(listener);
        plan.tenants.get(domain).map_or(0, |tenant| tenant.rcpt.len())
    };
    assert_eq!(
        (asked("mx", "example.net"), asked("mx", "example.org"), asked("few", "example.net")),
        (1, 0, 0)
    );
    assert_eq!(policies.speaker("mx", "example.net"), None, "it says nothing about whole messages");

    for (name, text, problem) in [
        ("10-x.rhai", "fn helo(session) {}", "1:4: a policy of a domain's own is not asked at helo"),
        (
            "10-x.rhai",
            "const GATE = true;\nfn rcpt(session, mail, rcpt) {}",
            " a policy of a domain's own is no gate",
        ),
        ("10-X.rhai", "", " `X` cannot be the name of a policy"),
    ] {
        let (dir, sources) = folder(&[(&format!("domains/example.net/{name}"), text)]);
        let errors = errors(&sources, dir.path());
        let expected = format!("domains/example.net/{name}:{problem}");
        assert!(errors.iter().any(|error| error.starts_with(&expected)), "{errors:#?}");
    }
    fs::create_dir(dir.path().join("domains/a b")).unwrap();
    assert_eq!(
        errors(&sources, dir.path()),
        [
            "domains/a b: the folder's name is no domain; name it as the recipients' domain, such as `example.net`"
        ]
    );
}

#[test]
fn a_glance_sees_a_change_without_reading() {
    let (dir, sources) = set();
    let first = sources.glance();
    assert!(
        !first.vouches_for(&sources.glance()),
        "the files are too young: another change could have the same time"
    );
    fs::write(dir.path().join("10-helo.rhai"), format!("{HELO}// more")).unwrap();
    assert!(!first.vouches_for(&sources.glance()));
    let shipped =
        Sources { dir: concat!(env!("CARGO_MANIFEST_DIR"), "/src/policy").into(), ..Sources::default() };
    assert!(shipped.glance().vouches_for(&shipped.glance()), "nobody wrote there in the last seconds");
}
