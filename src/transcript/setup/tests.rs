use std::time::Duration;

use super::*;

fn read(lines: &str) -> Result<Setup, Mistake> {
    let mut setup = Setup::default();
    for (n, line) in lines.lines().enumerate() {
        let mut words = Words::new(line, n + 1, 1);
        let name = words.next().unwrap();
        assert!(setup.read(name, &mut words, Path::new("dir"))?, "{line}");
    }
    Ok(setup)
}

#[test]
fn who_and_where() {
    let setup = read(
        "client 2001:db8::7\nhostname mx.test\ndomains a.test, b.test\ntrusted 10.0.0.0/8 192.0.2.9\ntls on",
    )
    .unwrap();
    assert_eq!(setup.client, "[2001:db8::7]:40112".parse().unwrap());
    assert_eq!(setup.hostname.as_deref(), Some("mx.test"));
    assert_eq!(setup.domains.unwrap(), ["a.test", "b.test"]);
    let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "192.0.2.9/32".parse().unwrap()];
    assert_eq!(setup.trusted, Some(trusted));
    assert_eq!(setup.tls, TlsOffer::Opportunistic);
    assert_eq!(setup.clock.to_string(), "2026-01-02T03:04:05Z");
}

#[test]
fn policies_and_their_settings() {
    let setup = read(
        "policies only relay, helo\npolicies ../mine\nsetting size.max_size 25MiB\nsetting a.b 3\nsetting a.b \"3\"\nsetting a.b true\nsetting a.b [a, 2]\nmode helo.not-fqdn shadow\nlist friends a@b.test c.test",
    )
    .unwrap();
    assert_eq!(setup.selection, Selection::Only(vec!["relay".to_owned(), "helo".to_owned()]));
    assert_eq!(setup.policies_dir.as_deref(), Some(Path::new("dir/../mine")));
    let values: Vec<_> = setup.settings.into_iter().map(|(_, _, value)| value).collect();
    let text = |text: &str| Setting::Text(text.to_owned());
    let array = Setting::Array(vec![text("a"), Setting::Integer(2)]);
    assert_eq!(values, [text("25MiB"), Setting::Integer(3), text("3"), Setting::Bool(true), array]);
    assert_eq!(setup.modes, [("helo.not-fqdn".to_owned(), Mode::Shadow)]);
    assert_eq!(setup.lists, [("friends".to_owned(), vec!["a@b.test".to_owned(), "c.test".to_owned()])]);
}

#[test]
fn limits_and_splits() {
    let setup = read("limit message_size 1MiB\nlimit errors 3\nlimit command 5m\nsplit whole 1 7").unwrap();
    let expected = [Limit::MessageSize(1 << 20), Limit::Errors(3), Limit::Command(Duration::from_secs(300))];
    assert_eq!(setup.limits, expected);
    assert_eq!(setup.splits, [Split::Whole, Split::AtMost(1), Split::AtMost(7)]);
    assert_eq!(read("bytewise").unwrap().splits, [Split::AtMost(1)]);
}

#[test]
fn every_directive_is_known() {
    for name in DIRECTIVES {
        let mut words = Words::new(name, 1, 1);
        let word = words.next().unwrap();
        let known = Setup::default().read(word, &mut words, Path::new("dir"));
        assert_ne!(known, Ok(false), "{name}");
    }
}

#[test]
fn mistakes() {
    for line in [
        "client nobody",
        "client 192.0.2.1 x",
        "tls maybe",
        "auth maybe",
        "auth relay always",
        "certificate a.example c0de perhaps",
        "trusted 10.0.0.0/33",
        "policies",
        "setting max_size 1",
        "setting size.max_size",
        "mode helo loud",
        "limit speed 3",
        "limit errors 3s",
        "limit command 5",
        "inquiry NOOP off",
        "inquiry VRFY maybe",
        "clock yesterday",
        "dns a.test",
        "dns a.test SRV x",
        "dns a.test A 2001:db8::1",
        "dns a.test MX mail.a.test",
        "dns a.test * 192.0.2.1",
        "upstream",
        "upstream SEND 250 ok",
        "upstream MAIL",
        "upstream MAIL explode",
        "upstream identity ident",
        "upstream proxy maybe",
        "upstream @other balance unfair",
        "upstream @other protocol uucp",
        "route a.test",
        "route a.test @nobody",
        "split 0",
        "split",
    ] {
        assert!(read(line).is_err(), "{line}");
    }
}
