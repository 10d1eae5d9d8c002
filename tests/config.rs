//! The configuration: every broken file of `tests/config/bad` is refused in the words of its `.expected`, every file of
//! `tests/config/good` loads.
//!
//! With `GATEPOST_BLESS=1` the `.expected` files are written anew; read the difference before it is committed.

// Clippy takes only functions marked as tests for tests; what they share may fail in the same way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use gatepost::admin::Place;
use gatepost::config::ready::ListenerTls;
use gatepost::config::{Settings, load, load_text};
use gatepost::diagnostic::Diagnostic;
use gatepost::facts::Clamd;
use gatepost::log;
use gatepost::policy::Policies;
use gatepost::policy::judgement::Mode;
use gatepost::policy::sources::{
    Budget, EntrySource, ListKind, ListSource, OnError, RefuseAt, Selection, Setting, TableSource,
};
use gatepost::server::{Address, Rate};
use gatepost::session::{AuthTerms, Inquiry};
use gatepost::state;
use gatepost::upstream::{Balance, Identity, Kind, Protocol, TlsMode};
use proptest::prelude::*;

/// Keys are secret, and `git` does not keep that they are: all but the one that is exposed on purpose are closed first.
fn close_keys() {
    use std::os::unix::fs::PermissionsExt;
    for (key, mode) in [("mx.key", 0o600), ("other.key", 0o600), ("exposed.key", 0o644)] {
        fs::set_permissions(Path::new("tests/config/tls").join(key), fs::Permissions::from_mode(mode))
            .unwrap();
    }
}

fn files(folder: &str) -> Vec<PathBuf> {
    close_keys();
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}

fn render(found: &[Diagnostic]) -> String {
    let rendered: Vec<String> = found.iter().map(|diagnostic| diagnostic.render(false) + "\n").collect();
    rendered.join("\n")
}

/// Compares with the file beside `path`, or writes it. Where nothing is to be said, no file says so.
fn compare(path: &Path, found: &str) -> Result<(), String> {
    let expected_in = path.with_extension("expected");
    if std::env::var_os("GATEPOST_BLESS").is_some() {
        bless(&expected_in, found);
        return Ok(());
    }
    compared(path, &expected_in, found)
}

fn bless(expected_in: &Path, found: &str) {
    match found {
        "" if expected_in.exists() => fs::remove_file(expected_in).unwrap(),
        "" => {}
        found => fs::write(expected_in, found).unwrap(),
    }
}

fn compared(path: &Path, expected_in: &Path, found: &str) -> Result<(), String> {
    let expected = fs::read_to_string(expected_in).unwrap_or_default();
    if expected == found {
        return Ok(());
    }
    let difference = similar::TextDiff::from_lines(expected.as_str(), found).unified_diff().to_string();
    Err(format!("{}:\n{difference}", path.display()))
}

#[test]
fn where_nothing_is_to_be_said_no_file_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = (folder.path().join("a.yaml"), folder.path().join("a.expected"));
    bless(&file, "");
    assert!(!file.exists() && compared(&path, &file, "").is_ok());
    bless(&file, "a warning");
    assert!(compared(&path, &file, "a warning").is_ok() && compared(&path, &file, "").is_err());
    bless(&file, "");
    assert!(!file.exists());
}

#[test]
fn broken_files_are_refused_in_the_expected_words() {
    let files = files("tests/config/bad");
    let complete = files.iter().filter(|path| {
        let found = load(path).map(|_| ()).unwrap_err();
        found
            .iter()
            .filter(|found| found.is_error())
            .all(|found| found.position.is_some() && found.help.is_some())
    });
    assert!(complete.count() >= 40, "file, line, column and what to do");
    let wrong: Vec<String> = files
        .iter()
        .filter_map(|path| {
            let found = load(path).map(|_| ()).expect_err(&path.display().to_string());
            assert!(found.iter().any(Diagnostic::is_error), "{}", path.display());
            compare(path, &render(&found)).err()
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn good_files_load_with_the_expected_warnings() {
    let wrong: Vec<String> = files("tests/config/good")
        .iter()
        .filter_map(|path| {
            let loaded = load(path).unwrap_or_else(|found| panic!("{}", render(&found)));
            compare(path, &render(&loaded.warnings)).err()
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn good(name: &str) -> Settings {
    close_keys();
    let path = Path::new("tests/config/good").join(name);
    load(&path).unwrap_or_else(|found| panic!("{}", render(&found))).settings
}

#[test]
fn every_key_of_a_listener_arrives() {
    let settings = good("everything.yaml");
    let [mx, smtps, plain] = settings.listeners.as_slice() else { panic!("three listeners") };
    assert_eq!((mx.name.as_str(), mx.upstream.as_str(), mx.addresses.len()), ("mx", "main", 3));
    assert!(matches!(&mx.tls, ListenerTls::StartTls(identity) if identity.files.len() == 1));
    let ListenerTls::StartTls(identity) = &mx.tls else { panic!("STARTTLS") };
    assert_eq!(identity.tls.files().len(), 3, "the authority of the clients is among them");
    assert!(mx.terms.tls_required && !smtps.terms.tls_required && !plain.terms.tls_required);
    assert_eq!(mx.terms.hostname, "mx.example.org");
    assert_eq!((mx.bounds.sessions, mx.bounds.sessions_per_ip, mx.bounds.exempt.len()), (100, 5, 2));
    let limits = &mx.terms.limits;
    assert_eq!((limits.message_size, limits.recipients, limits.errors), (25_000_000, 100, 3));
    assert_eq!((limits.junk_commands, limits.transactions), (20, 50));
    assert_eq!((limits.text_line, limits.min_data_rate), (Some(998), 1000));
    assert_eq!(
        mx.normalise.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["192.0.2.77/32", "2001:db8:7::/48"]
    );
    assert_eq!(mx.header_limit, 65_536);
    let manners = &mx.manners;
    assert_eq!(manners.proxy_protocol, ["10.1.0.0/16", "2001:db8::10/128"].map(|net| net.parse().unwrap()));
    assert_eq!(manners.xclient, ["10.2.0.1/32".parse().unwrap()]);
    assert_eq!((manners.greet_delay, manners.exempt.len()), (Duration::from_secs(6), 2));
    assert!(plain.manners.proxy_protocol.is_empty() && plain.manners.greet_delay.is_zero());
    let auth = |relay, without_tls, required| AuthTerms { relay, without_tls, required };
    assert_eq!((mx.terms.auth, limits.auth_failures), (auth(true, false, true), 2));
    assert_eq!((plain.terms.auth, plain.terms.limits.auth_failures), (auth(false, false, false), 5));
    let timeouts = &mx.terms.timeouts;
    assert_eq!([timeouts.command, timeouts.data, timeouts.session].map(|time| time.as_secs()), [60, 30, 600]);
    let inquiries = mx.terms.inquiries;
    assert_eq!(
        [inquiries.vrfy, inquiries.expn, inquiries.help],
        [Inquiry::Relay, Inquiry::Relay, Inquiry::Off]
    );
    assert!(matches!(smtps.tls, ListenerTls::Implicit(_)) && matches!(plain.tls, ListenerTls::Off));
    assert_eq!(
        (plain.bounds.sessions, plain.bounds.sessions_per_ip, plain.header_limit),
        (2000, 20, 262_144)
    );
    assert_eq!(plain.addresses[1], Address::Handed("plain".to_owned()));
    assert_eq!((plain.terms.limits.text_line, plain.terms.limits.min_data_rate), (None, 100));
    assert!(plain.normalise.is_empty());
}

#[test]
fn what_bounds_connections_arrives() {
    let settings = good("everything.yaml");
    let [mx, smtps, _] = settings.listeners.as_slice() else { panic!("three listeners") };
    let rate = |count, seconds| Some(Rate { count, period: Duration::from_secs(seconds) });
    assert_eq!((mx.bounds.connection_rate, mx.bounds.handshake_rate), (rate(60, 60), rate(5, 1)));
    assert_eq!(mx.bounds.sessions_per_network, 50);
    assert_eq!((smtps.bounds.connection_rate, smtps.bounds.handshake_rate), (None, None));
    assert_eq!(smtps.bounds.sessions_per_network, 100);
    assert_eq!(settings.drain, Duration::from_secs(30));
    assert_eq!(good("minimal.yaml").drain, Duration::from_secs(8));
}

#[test]
fn every_key_of_an_upstream_arrives() {
    let settings = good("everything.yaml");
    let [main, maildir, lmtp] = settings.upstreams.as_slice() else { panic!("three upstreams") };
    let Kind::Smtp(remote) = &lmtp.kind else { panic!("a mail server") };
    assert_eq!(remote.addresses, ["mail.example.org:24", "unix:/run/dovecot/lmtp"]);
    assert_eq!((remote.protocol, remote.balance), (Protocol::Lmtp, Balance::LeastSessions));
    assert_eq!(remote.identity, Identity::None, "the default for LMTP");
    assert!(matches!(remote.tls, TlsMode::Off));
    let Kind::Smtp(remote) = &main.kind else { panic!("a mail server") };
    assert_eq!((remote.protocol, remote.balance), (Protocol::Smtp, Balance::RoundRobin));
    assert_eq!((main.name.as_str(), main.hostname.as_str()), ("main", "mx.example.org"));
    assert_eq!(remote.addresses, ["mail.example.org:25", "[2001:db8::25]:25"]);
    assert_eq!(remote.identity, Identity::None);
    assert!(matches!(remote.tls, TlsMode::Required(_)));
    assert!(remote.tls.tls().is_some_and(|tls| tls.verifies() && tls.files().len() == 3));
    let timeouts = &remote.timeouts;
    assert_eq!([timeouts.connect, timeouts.reply, timeouts.end_of_data].map(|t| t.as_secs()), [10, 60, 300]);
    assert!(
        matches!(&maildir.kind, Kind::Maildir(path) if path == Path::new("tests/config/good/../var/mail"))
    );

    let settings = good("minimal.yaml");
    let Kind::Smtp(remote) = &settings.upstreams[0].kind else { panic!("a mail server") };
    assert_eq!(remote.identity, Identity::XClient, "the default fails closed");
    assert!(matches!(remote.tls, TlsMode::Opportunistic(_)));
}

#[test]
fn services_of_policies() {
    let services = good("everything.yaml").services;
    assert_eq!(services.http_hosts, ["api.example.org", "127.0.0.1:8080", "[::1]:8443"]);
    assert!(matches!(services.clamd, Some(Clamd::Unix(path)) if path.ends_with("run/clamd.ctl")));
    assert!(services.rspamd.is_some());
    let none = good("minimal.yaml").services;
    assert!(none.http_hosts.is_empty() && none.clamd.is_none() && none.rspamd.is_none());
}

#[test]
fn every_key_about_policies_arrives() {
    let policies = good("everything.yaml").policies;
    assert_eq!(policies.on_error, OnError::Pass);
    assert_eq!(policies.refuse_at, RefuseAt::Rcpt);
    assert!(policies.deny_warnings);
    assert_eq!(policies.modes["dnsbl"], Mode::Shadow);
    assert_eq!(policies.modes["helo.not-fqdn"], Mode::Off);
    let expected = [
        ("count", Setting::Integer(-3)),
        ("factor", Setting::Float(1.5)),
        ("max_size", Setting::Text("25MiB".into())),
        ("on", Setting::Bool(true)),
        ("ports", Setting::Array(vec![Setting::Integer(25), Setting::Text("465".into())])),
        ("quoted", Setting::Text("5".into())),
    ];
    assert_eq!(policies.settings["size"], expected.map(|(name, value)| (name.to_owned(), value)).into());
    assert_eq!(policies.lists["own"], EntrySource::Inline(vec!["a.example".into(), "*".into()]).into());
    let ListSource { kind: None, entries: EntrySource::File(path) } = &policies.lists["partners"] else {
        panic!("a file of any kind")
    };
    assert!(path.is_file());
    let networks = EntrySource::Inline(vec!["192.0.2.0/24".into()]);
    assert_eq!(policies.lists["nets"], ListSource { kind: Some(ListKind::Networks), entries: networks });
    assert!(matches!(&policies.tables["logins"], TableSource::File(path) if path.is_file()));
    let owners = [("jane", vec!["jane@example.org"]), ("joe", vec!["joe@example.org", "sales@example.org"])];
    let owners =
        owners.map(|(key, values)| (key.to_owned(), values.into_iter().map(str::to_owned).collect()));
    assert_eq!(policies.tables["owners"], TableSource::Inline(owners.into()));
    let [scanner, greylist] = policies.exceptions.as_slice() else { panic!("two exceptions") };
    assert_eq!((scanner.target.as_str(), scanner.mode), ("helo.not-fqdn", Mode::Off));
    assert_eq!(scanner.clients, ["192.0.2.0/24", "2001:db8::1/128"].map(|net| net.parse().unwrap()));
    assert_eq!((scanner.listeners.as_slice(), scanner.why.as_str()), (&["mx".to_owned()][..], "old scanner"));
    assert_eq!(scanner.until.map(|until| until.to_string()).as_deref(), Some("2027-03-31"));
    assert_eq!((greylist.target.as_str(), greylist.mode, greylist.until), ("greylist", Mode::Shadow, None));
    assert_eq!(greylist.recipients, ["a@example.org", ".example.net"]);
    let wishes = &policies.domains["example.net"];
    assert_eq!(wishes.settings["size"]["max_size"], Setting::Text("10MiB".into()));
    assert_eq!(wishes.modes["recipients.too-many"], Mode::Shadow);
    assert!(policies.require_tests);
    let redirects = format!("{:?}", policies.redirect_domains);
    assert!(redirects.contains("partner.example"), "{redirects}");
    assert_eq!(policies.budget, Budget { time: Duration::from_millis(20), operations: 5000, facts: 8 });
    let expected = [
        ("mx", Selection::Except(vec!["helo".into()])),
        ("smtps", Selection::Only(vec!["relay".into(), "size".into()])),
        ("plain", Selection::All),
    ];
    assert_eq!(policies.listeners, expected.map(|(name, selection)| (name.to_owned(), selection)));
}

#[test]
fn every_other_key_arrives() {
    let settings = good("everything.yaml");
    assert_eq!(
        (settings.hostname.as_str(), settings.authserv_id.as_str()),
        ("mx.example.org", "example.org")
    );
    assert_eq!(settings.domains, ["example.org", ".example.org", "xn--bcher-kva.example"]);
    let routes =
        [("sub.example.org", "maildir"), ("xn--bcher-kva.example", "lmtp"), (".example.org", "lmtp")];
    assert_eq!(settings.routes, routes.map(|(domain, name)| (domain.to_owned(), name.to_owned())));
    assert_eq!(settings.trusted_networks.len(), 3);
    assert_eq!(settings.spool.dir.as_deref(), Some(Path::new("tests/config/good/../var/spool")));
    assert_eq!((settings.spool.memory, settings.spool.memory_per_message), (32 << 20, 512 << 10));
    assert_eq!([settings.checks.spf, settings.checks.dkim, settings.checks.dmarc], [false, true, true]);
    assert_eq!(
        settings.dns.servers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["127.0.0.1:53", "[::1]:5353"]
    );
    assert_eq!((settings.dns.timeout, settings.dns.cache_bytes), (Duration::from_secs(1), 8 << 20));
    let places = settings.admin.map(|admin| admin.places);
    assert_eq!(places, Some(vec![Place::Tcp("127.0.0.1:9925".parse().unwrap())]));
    let state::Settings::Embedded(folder, capacity) = &settings.state else { panic!("{:?}", settings.state) };
    assert_eq!(folder, Path::new("tests/config/good/../var/state"));
    assert_eq!(*capacity, state::Capacity::default());
    assert_eq!(settings.log.format, log::Format::Json);
    assert_eq!(Ok(settings.log.level), log::Level::parse("info,gatepost::dns=debug"));
}

#[test]
fn variables_anchors_and_merged_keys_are_followed() {
    let settings = good("variables-and-anchors.yaml");
    assert_eq!(settings.hostname, "mx.example.org");
    assert_eq!(settings.listeners[0].addresses, [Address::Bind("127.0.0.1:2525".parse().unwrap())]);
    let of = |n: usize| (settings.listeners[n].bounds.sessions, settings.listeners[n].terms.limits.errors);
    assert_eq!([of(0), of(1), of(2)], [(10, 10), (10, 10), (10, 2)]);
    let helo = &settings.policies.settings["helo"];
    assert_eq!(helo["price"], Setting::Text("${5}".into()));
    assert_eq!(helo["plain"], Setting::Text("$5".into()));
}

#[test]
fn logs_never_see_a_source_line() {
    for path in files("tests/config/bad") {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for diagnostic in load(&path).map(|_| ()).unwrap_err() {
            let line = diagnostic.one_line();
            assert!(!line.contains('\n'));
            let source = diagnostic.position.and_then(|place| text.lines().nth(place.line - 1));
            if let Some(source) = source.map(str::trim).filter(|source| source.len() > 20) {
                assert!(!line.contains(source), "{}: {line}", path.display());
            }
        }
    }
}

/// What is said of a key that nobody knows, in the section that `wrap` puts it into: the keys that are known there.
fn known_keys(wrap: &dyn Fn(&str) -> String) -> Option<Vec<String>> {
    const NOBODY: &str = "nobody-has-such-a-key";
    let found = load_text(Path::new("gatepost.yaml"), &wrap(&format!("{{ {NOBODY}: 1 }}")), &|_| None);
    let unknown = found.map(|_| ()).unwrap_err().into_iter().find(|d| d.message.contains(NOBODY))?;
    let names = unknown.help?.strip_prefix("known here: ")?.to_owned();
    Some(names.split(", ").map(|name| name.trim_matches('`').to_owned()).collect())
}

/// Every key of the section at `path`, sections within it included, with the range that its value has.
fn walk(path: &str, wrap: &dyn Fn(&str) -> String, out: &mut Vec<(String, Option<String>)>) -> bool {
    let Some(keys) = known_keys(wrap) else { return false };
    for key in keys {
        // What some keys are nothing without. Where they do not belong, that is one error more.
        let with = "address: 'h:1', dir: x, at: 'embedded:x'";
        let at = |inner: &str| wrap(&format!("{{ {key}: {inner}, {with} }}"));
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let is_section = walk(&path, &at, out)
            || walk(&format!("{path}.NAME"), &|inner| at(&format!("{{ NAME: {inner} }}")), out)
            || walk(&path, &|inner| at(&format!("[{inner}]")), out);
        if !is_section {
            let range = range(&at).or_else(|| {
                let with = "dir: x, at: 'redis://h:1/0'";
                range(&|inner| wrap(&format!("{{ {key}: {inner}, {with} }}")))
            });
            out.push((path, range));
        }
    }
    true
}

/// What is said of values that are too small or too large, if it is said of any.
fn range(wrap: &dyn Fn(&str) -> String) -> Option<String> {
    let extremes = ["0", "4294967295", "0s", "99999d", "0B", "99999999GiB"];
    extremes.iter().find_map(|extreme| {
        let found = load_text(Path::new("gatepost.yaml"), &wrap(extreme), &|_| None).map(|_| ()).unwrap_err();
        let told = found.iter().find_map(|found| found.message.strip_prefix("must be between "))?;
        Some(told.replace(" and ", " to "))
    })
}

#[test]
fn the_reference_has_every_key_and_no_other() {
    let mut known = Vec::new();
    assert!(walk("", &str::to_owned, &mut known));
    // A list may be a file or stand under `entries`, and a secret be kept in one of three places: the reference has that in one row.
    let row = |(key, range): &(String, Option<String>)| {
        let places = [".file", ".entries", ".env", ".credential"];
        let own = places.iter().find_map(|place| key.strip_suffix(place));
        let key = own.filter(|key| *key != "decisions").unwrap_or(key);
        range.as_ref().map_or_else(|| key.to_owned(), |range| format!("{key}: {range}"))
    };
    let mut known: Vec<String> = known.iter().map(row).collect();
    known.sort();
    known.dedup();
    let reference = fs::read_to_string("config/README.md").unwrap();
    let table = reference.split("\n## Keys\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let key_and_range = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split('|');
        let (key, kind) = (cells.next()?.trim().trim_end_matches('`'), cells.next()?.trim());
        let range = kind.split_once(", ").filter(|(_, range)| range.contains(" to "));
        Some(range.map_or_else(|| key.to_owned(), |(_, range)| format!("{key}: {range}")))
    };
    let mut documented: Vec<String> = table.lines().filter_map(key_and_range).collect();
    documented.sort();
    assert_eq!(known, documented);
}

/// A folder as an operator has it: the shipped file under `name`, with policies where it looks for them.
fn installed(shipped: &str, name: &str, policies: &str) -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::create_dir_all(root.path().join(policies)).unwrap();
    fs::copy(shipped, &file).unwrap();
    (root, file)
}

/// The certificate that an example expects beside it.
fn certificates(file: &Path) {
    let folder = file.parent().unwrap().join("tls");
    fs::create_dir_all(&folder).unwrap();
    for name in ["mx.pem", "mx.key"] {
        fs::copy(Path::new("tests/config/tls").join(name), folder.join(name)).unwrap();
    }
}

#[test]
fn the_submission_example_wants_tls_and_a_login() {
    let (_root, file) =
        installed("config/examples/submission.yaml", "etc/gatepost/gatepost.yaml", "etc/gatepost/policies");
    certificates(&file);
    let settings = load(&file).unwrap().settings;
    let [submission, submissions] = settings.listeners.as_slice() else { panic!("587 and 465") };
    assert!(submission.terms.tls_required && matches!(submission.tls, ListenerTls::StartTls(_)));
    assert!(matches!(submissions.tls, ListenerTls::Implicit(_)));
    for listener in [submission, submissions] {
        assert_eq!(listener.terms.auth, AuthTerms { relay: true, without_tls: false, required: true });
    }
    assert!(settings.trusted_networks.is_empty());
}

#[test]
fn what_is_shipped_loads_without_a_warning() {
    let cases = [
        ("config/gatepost.yaml", "config/gatepost.yaml", "policies"),
        ("config/examples/postfix.yaml", "etc/gatepost/gatepost.yaml", "etc/gatepost/policies"),
        ("config/examples/exim.yaml", "etc/gatepost/gatepost.yaml", "etc/gatepost/policies"),
        ("config/examples/exchange.yaml", "etc/gatepost/gatepost.yaml", "etc/gatepost/policies"),
        ("config/examples/other.yaml", "etc/gatepost/gatepost.yaml", "etc/gatepost/policies"),
        ("config/examples/submission.yaml", "etc/gatepost/gatepost.yaml", "etc/gatepost/policies"),
    ];
    for (shipped, name, policies) in cases {
        let (_root, file) = installed(shipped, name, policies);
        certificates(&file);
        let loaded = load(&file).unwrap_or_else(|found| panic!("{}", render(&found)));
        assert_eq!(loaded.warnings, [], "{shipped}");
    }
}

#[test]
fn the_shipped_file_keeps_to_this_machine() {
    let (_root, file) = installed("config/gatepost.yaml", "config/gatepost.yaml", "policies");
    let settings = load(&file).unwrap().settings;
    let doors = settings.admin.iter().flat_map(|admin| &admin.places).filter_map(|place| match place {
        Place::Tcp(address) => Some(Address::Bind(*address)),
        Place::Unix(_) => None,
    });
    let doors: Vec<Address> = doors.collect();
    let listening = settings.listeners.iter().flat_map(|listener| &listener.addresses).chain(&doors);
    for address in listening {
        let Address::Bind(address) = address else { panic!("{address:?}") };
        assert!(address.ip().is_loopback() && address.port() >= 1024, "{address}");
    }
    assert!(settings.upstreams.iter().all(|upstream| matches!(upstream.kind, Kind::Maildir(_))));
    assert!(settings.trusted_networks.is_empty() && !settings.domains.contains(&"*".to_owned()));
}

#[test]
fn a_file_of_the_performance_rig_loads() {
    close_keys();
    let root = tempfile::tempdir().unwrap();
    let tls = fs::canonicalize("tests/config/tls").unwrap();
    let text = format!(
        r#"hostname: mx.example.org
listeners:
  mx:
    listen: ["127.0.0.1:2500"]
    upstream: main
    tls: {{ mode: opportunistic, certificates: [{{ cert: "{tls}/mx.pem", key: "{tls}/mx.key" }}] }}
    limits: {{ sessions: 12000, sessions_per_ip: 12000, message_size: 100MiB }}
upstreams:
  main: {{ address: "10.9.0.1:2600", client_identity: none, tls: {{ mode: "off" }} }}
domains: [corp.test]
trusted_networks: []
policies: {{ dir: "{root}" }}
dns: {{ servers: ["127.0.0.1:5300"] }}
state: "embedded:{root}/state"
admin: {{ listen: "127.0.0.1:2501" }}
log: {{ format: json, level: warn }}
"#,
        tls = tls.display(),
        root = root.path().display()
    );
    let loaded = load_text(Path::new("gatepost.yaml"), &text, &|_| None);
    let loaded = loaded.unwrap_or_else(|found| panic!("{}", render(&found)));
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.settings.listeners[0].terms.limits.message_size, 100 << 20);
    let state::Settings::Embedded(folder, _) = &loaded.settings.state else { panic!("{loaded:?}") };
    assert_eq!(*folder, root.path().join("state"));
}

#[test]
fn a_hostile_file_ends_soon() {
    let deep = |open: &str| open.repeat(1_000_000 / open.len());
    let aliases: String =
        (1..20).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", "))).collect();
    let bomb = format!("a0: &a0 [x, x, x]\n{aliases}");
    for text in [deep("["), deep("{"), deep("- "), deep("{a: "), deep("? "), bomb, "a: &a [*a]".to_owned()] {
        let begun = std::time::Instant::now();
        assert!(load_text(Path::new("hostile.yaml"), &text, &|_| None).is_err());
        assert!(begun.elapsed().as_secs() < 60, "{text:.20}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever an editor or a disk does to a file, there is an answer, and it can be shown.
    #[test]
    fn damaged_files_are_answered(at in 0usize..3000, len in 0usize..40, inserted in "[ -~\t\n\u{e9}\u{0}]{0,6}") {
        let mut text: Vec<char> = fs::read_to_string("tests/config/good/everything.yaml").unwrap().chars().collect();
        let start = at.min(text.len());
        let end = (start + len).min(text.len());
        text.splice(start..end, inserted.chars());
        let text: String = text.into_iter().collect();
        let found = match load_text(Path::new("tests/config/good/damaged.yaml"), &text, &|_| None) {
            Ok(loaded) => loaded.warnings,
            Err(found) => {
                prop_assert!(found.iter().any(Diagnostic::is_error));
                found
            }
        };
        for diagnostic in found {
            prop_assert!(!diagnostic.render(false).is_empty());
            prop_assert!(!diagnostic.one_line().contains('\n'));
        }
    }
}

/// The schema as an editor uses it: what the tests' own validator says of each file, by name. A validator of others' make, so that what
/// the schema means is not ours to say.
fn refused_by_the_schema(files: &[PathBuf]) -> Vec<String> {
    const VALIDATOR: &str = "\
import json, sys, jsonschema
asked = json.load(sys.stdin)
jsonschema.Draft202012Validator.check_schema(asked['schema'])
validator = jsonschema.Draft202012Validator(asked['schema'])
for name, value in asked['files']:
    if next(validator.iter_errors(value), None) is not None:
        print(name)
";
    let files: Vec<_> = files
        .iter()
        .filter_map(|path| {
            let text = fs::read_to_string(path).ok()?;
            // Words such as `off` are texts in YAML 1.2, which editors read.
            let options = serde_yaml::options! { strict_booleans: true };
            let value = serde_yaml::from_str_with_options::<serde_json::Value>(&text, options).ok()?;
            Some((path.clone(), value))
        })
        .collect();
    let asked = serde_json::json!({ "schema": gatepost::config::schema(), "files": files });
    let mut python = Command::new("python3")
        .args(["-c", VALIDATOR])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 with python3-jsonschema");
    python.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let answer = python.wait_with_output().unwrap();
    assert!(answer.status.success(), "python3-jsonschema did not answer");
    String::from_utf8(answer.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_schema_that_is_shipped_is_that_of_the_program() {
    let schema = format!("{:#}\n", gatepost::config::schema());
    if std::env::var_os("GATEPOST_BLESS").is_some() {
        fs::write("config/schema.json", &schema).unwrap();
    }
    let shipped = fs::read_to_string("config/schema.json").unwrap_or_default();
    let difference = similar::TextDiff::from_lines(&shipped, &schema).unified_diff().to_string();
    assert_eq!(difference, "", "write it anew: GATEPOST_BLESS=1 cargo test --test config");
}

#[test]
fn every_key_of_the_schema_is_explained() {
    fn walk(value: &serde_json::Value, path: &str, silent: &mut Vec<String>) {
        for (name, property) in value["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            // Where a secret or a list may stand is said where the whole of it is.
            let place = ["file", "env", "credential", "entries"].contains(&name.as_str());
            if !place && property["description"].as_str().is_none_or(str::is_empty) {
                silent.push(path.clone());
            }
            walk(property, &path, silent);
        }
        for inner in ["items", "additionalProperties"].into_iter().filter_map(|key| value.get(key)) {
            walk(inner, path, silent);
        }
        for inner in value["anyOf"].as_array().into_iter().flatten() {
            walk(inner, path, silent);
        }
    }
    let mut silent = Vec::new();
    walk(&gatepost::config::schema(), "", &mut silent);
    assert_eq!(silent, [""; 0]);
}

#[test]
fn the_schema_takes_what_is_good_and_refuses_what_is_not() {
    let mut good = files("tests/config/good");
    good.extend(files("config"));
    good.extend(files("config/examples"));
    good.extend(files("config/examples/hosting"));
    assert!(good.len() > 8);
    assert_eq!(refused_by_the_schema(&good), [""; 0]);
    let refused = refused_by_the_schema(&files("tests/config/bad"));
    for name in [
        "unknown-key",
        "wrong-type",
        "bad-choice",
        "bare-size",
        "bare-duration",
        "bad-unit",
        "bad-rate",
        "bad-network",
        "out-of-range",
        "not-a-section",
        "missing-upstream",
        "bad-address",
        "words-for-sections",
        "missing-everything",
    ] {
        assert!(refused.contains(&format!("tests/config/bad/{name}.yaml")), "{name}: {refused:?}");
    }
}

/// What becomes of a good configuration when `path` of its folder has this mode.
fn with_mode(path: &str, mode: u32) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let etc = root.path().join("etc");
    fs::create_dir_all(etc.join("policies")).unwrap();
    for (name, text) in [
        (
            "gatepost.yaml",
            "hostname: mx.example.org\nlisteners: { mx: { listen: 127.0.0.1:2525, upstream: main } }\n\
          upstreams: { main: { address: 127.0.0.1:10025 } }\ndomains: { file: domains.txt }\n\
          policies: { lists: { partners: { file: partners.txt } } }\nadmin: { listen: 127.0.0.1:9925, token: { file: token } }\n",
        ),
        ("domains.txt", "example.org\n"),
        ("partners.txt", "example.net\n"),
        ("token", "secret\n"),
        ("policies/00-relay.rhai", include_str!("../policies/00-relay.rhai")),
    ] {
        fs::write(etc.join(name), text).unwrap();
    }
    let set = |path: PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    set(etc.join("token"), 0o600);
    set(etc.join(path), mode);
    let found = load(&etc.join("gatepost.yaml"))
        .and_then(|loaded| Policies::load(&loaded.settings.policies).map(|_| ()));
    found.map_err(|found| {
        let lines: Vec<String> = found.iter().map(Diagnostic::one_line).collect();
        lines.join("\n").replace(&format!("{}/", root.path().display()), "")
    })
}

#[test]
fn what_everybody_may_change_or_read_is_refused_with_the_command_that_mends_it() {
    for (path, mode) in [(".", 0o755), ("policies", 0o775), ("gatepost.yaml", 0o664), ("token", 0o640)] {
        assert_eq!(with_mode(path, mode), Ok(()), "{path} {mode:o}");
    }
    for (path, mode, told) in [
        (
            "gatepost.yaml",
            0o666,
            "etc/gatepost.yaml: everybody on this machine can change this file (mode 0666); chmod o-w etc/gatepost.yaml",
        ),
        (
            ".",
            0o777,
            "etc: everybody on this machine can put files into this folder (mode 0777); chmod o-w etc",
        ),
        (
            "domains.txt",
            0o646,
            "etc/gatepost.yaml:4:18: etc/domains.txt: everybody on this machine can change this file (mode 0646)",
        ),
        (
            "partners.txt",
            0o666,
            "etc/partners.txt: everybody on this machine can change this file (mode 0666); chmod o-w etc/partners.txt",
        ),
        (
            "token",
            0o644,
            "etc/gatepost.yaml:6:49: etc/token: everybody on this machine can read this secret (mode 0644); chmod 640 etc/token",
        ),
        (
            "policies",
            0o777,
            "etc/policies: everybody on this machine can put files into this folder (mode 0777); chmod o-w etc/policies",
        ),
        (
            "policies/00-relay.rhai",
            0o666,
            "etc/policies/00-relay.rhai: everybody on this machine can change this file (mode 0666)",
        ),
    ] {
        let found = with_mode(path, mode).unwrap_err();
        assert!(found.starts_with(told), "{path}: {found}");
    }
}

/// A check or a reload that waits for a writer is as bad as none. Each place of a file is tried by itself.
#[test]
fn no_file_is_waited_for() {
    let root = tempfile::tempdir().unwrap();
    let fifo = root.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    fs::set_permissions(&fifo, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let fifo = fifo.to_str().unwrap();
    let config = root.path().join("gatepost.yaml");
    let beside = fs::canonicalize("tests/config").unwrap();
    let everything = fs::read_to_string("tests/config/good/everything.yaml").unwrap();
    let everything = everything.replace("../", &format!("{}/", beside.display()));
    let more = "authentication: { seal: { domain: example.org, selector: s, key: { file: KEY } } }\n\
        state: { at: rediss://127.0.0.1, ca: CA, password: { file: SECRET } }";
    let sections = ["authentication:", "state:"];
    let kept = everything.lines().filter(|line| !sections.iter().any(|section| line.starts_with(section)));
    let everything = kept.chain(more.lines()).collect::<Vec<_>>().join("\n");
    let is_file = |word: &&str| {
        ["KEY", "CA", "SECRET"].contains(word)
            || word.ends_with(".pem")
            || word.ends_with(".key")
            || word.ends_with(".txt")
    };
    let words = everything.split([' ', ',', '\n']);
    let places: Vec<_> =
        words.filter(is_file).map(|word| word.as_ptr().addr() - everything.as_ptr().addr()).collect();
    assert_eq!(places.len(), 14);
    for at in places {
        let (before, rest) = everything.split_at(at);
        let after = rest.find([' ', ',', '\n']).map_or("", |end| &rest[end..]);
        fs::write(&config, format!("{before}{fifo}{after}")).unwrap();
        let line = before.lines().count();
        let found = load_soon(&config);
        let told = found.iter().filter(|found| found.message.ends_with("not a regular file"));
        let lines: Vec<_> = told.filter_map(|found| Some(found.position?.line)).collect();
        assert_eq!(lines, [line], "{found:#?}");
    }
    assert_eq!(load_soon(Path::new(fifo))[0].message, "cannot be read: not a regular file");
}

/// What is wrong with a configuration; heard of within seconds.
fn load_soon(config: &Path) -> Vec<Diagnostic> {
    let (say, hear) = std::sync::mpsc::channel();
    let config = config.to_owned();
    std::thread::spawn(move || say.send(load(&config).map(|_| ()).unwrap_err()));
    hear.recv_timeout(Duration::from_secs(60)).expect("an answer")
}
