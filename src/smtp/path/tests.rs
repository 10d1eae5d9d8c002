use super::{Domain, DomainName, ForwardPath, LocalPart, Mailbox, PathError, ReversePath};

#[test]
fn reads_mailboxes() {
    let rows = [
        ("a@b", "a", "b"),
        ("user@example.org", "user", "example.org"),
        ("User.Name+tag@Example.ORG", "User.Name+tag", "example.org"),
        ("!#$%&'*+-/=?^_`{|}~@example.org", "!#$%&'*+-/=?^_`{|}~", "example.org"),
        ("user%other.example@example.org", "user%other.example", "example.org"),
        ("host!user@example.org", "host!user", "example.org"),
        ("\"user\"@example.org", "user", "example.org"),
        ("\"\"@example.org", "", "example.org"),
        ("\"a b\"@example.org", "a b", "example.org"),
        ("\"a@b\"@example.org", "a@b", "example.org"),
        ("\"a>b\"@example.org", "a>b", "example.org"),
        ("\"a\\\"b\"@example.org", "a\"b", "example.org"),
        ("\"a\\\\\"@example.org", "a\\", "example.org"),
        ("\"\\a\\ \\@\"@example.org", "a @", "example.org"),
        ("\"..\"@example.org", "..", "example.org"),
        (".a@example.org", ".a", "example.org"),
        ("a..b.@example.org", "a..b.", "example.org"),
        ("a@b_c.example.org", "a", "b_c.example.org"),
        ("a@_dmarc.example.org", "a", "_dmarc.example.org"),
        ("a@xn--bcher-kva.example", "a", "xn--bcher-kva.example"),
        ("a@192.0.2.1", "a", "192.0.2.1"),
        ("a@1and1.example", "a", "1and1.example"),
        ("\u{fc}ser@b\u{fc}cher.example", "\u{fc}ser", "xn--bcher-kva.example"),
    ];
    for (text, unquoted, ascii) in rows {
        let mailbox = Mailbox::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(mailbox.local().unquoted(), unquoted, "{text:?}");
        let Domain::Name(name) = mailbox.domain() else { panic!("{text:?} is no name") };
        assert_eq!(name.ascii(), ascii, "{text:?}");
        assert_eq!(mailbox.to_string(), text, "written as it came");
    }
}

#[test]
fn reads_literals() {
    for (text, written) in [
        ("[192.0.2.1]", "[192.0.2.1]"),
        ("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
        ("[ipv6:2001:DB8:0::1]", "[IPv6:2001:db8::1]"),
        ("[IPv6:::ffff:192.0.2.1]", "[IPv6:::ffff:192.0.2.1]"),
        ("[IPv6:::]", "[IPv6:::]"),
    ] {
        assert_eq!(Domain::parse(text).unwrap().to_string(), written, "{text:?}");
    }
}

#[test]
fn refuses_bad_mailboxes() {
    use PathError::{
        BadDomain, BadLiteral, BadLocal, DomainTooLong, EmptyLocal, NoDomain, Route, SecondAt, TrailingDot,
    };
    let long_label = format!("a@{}.example", "x".repeat(64));
    let long_domain =
        format!("a@{}", ["x".repeat(63), "y".repeat(63), "z".repeat(63), "w".repeat(64)].join("."));
    let rows = [
        ("user", NoDomain),
        ("postmaster", NoDomain),
        ("\"a@b\"", NoDomain),
        ("\"a@example.org", NoDomain),
        ("@example.org", EmptyLocal),
        ("@a,@b:user@example.org", Route),
        ("@a:user@example.org", Route),
        ("a@b@example.org", SecondAt),
        ("a@@example.org", SecondAt),
        ("\"a\"@b@example.org", SecondAt),
        ("a@[192.0.2.1]@example.org", SecondAt),
        (".@example.org", BadLocal),
        ("..@example.org", BadLocal),
        ("a b@example.org", BadLocal),
        ("a,b@example.org", BadLocal),
        ("a:b@example.org", BadLocal),
        ("a;b@example.org", BadLocal),
        ("a(b)@example.org", BadLocal),
        ("a<b@example.org", BadLocal),
        ("<a@example.org", BadLocal),
        ("a\\b@example.org", BadLocal),
        ("a[b]@example.org", BadLocal),
        ("a\"b\"@example.org", BadLocal),
        ("\"a\"b@example.org", BadLocal),
        ("\"a\".b@example.org", BadLocal),
        ("\"a\"b\"@example.org", NoDomain),
        ("\"a\rb\"@example.org", BadLocal),
        ("\"a\\\rb\"@example.org", BadLocal),
        ("\"a\nb\"@example.org", BadLocal),
        ("\"a\\\nb\"@example.org", BadLocal),
        ("\"a\0b\"@example.org", BadLocal),
        ("\"a\\\0b\"@example.org", BadLocal),
        ("\"a\tb\"@example.org", BadLocal),
        ("\"a\x7fb\"@example.org", BadLocal),
        ("\"a\u{85}b\"@example.org", BadLocal),
        ("\"a\u{2028}b\"@example.org", BadLocal),
        ("\"a\\\u{e9}b\"@example.org", BadLocal),
        ("a\u{85}b@example.org", BadLocal),
        ("a@", BadDomain),
        ("a@.example.org", BadDomain),
        ("a@example..org", BadDomain),
        ("a@-example.org", BadDomain),
        ("a@example-.org", BadDomain),
        ("a@exa mple.org", BadDomain),
        ("a@exa\rmple.org", BadDomain),
        ("a@example.org>", BadDomain),
        ("a@exa/mple", BadDomain),
        ("a@\u{2028}.org", BadDomain),
        (long_label.as_str(), BadDomain),
        ("a@example.org.", TrailingDot),
        ("a@.", TrailingDot),
        (long_domain.as_str(), DomainTooLong),
        ("a@[192.0.2.1", BadLiteral),
        ("a@[192.0.2.256]", BadLiteral),
        ("a@[192.0.2]", BadLiteral),
        ("a@[192.0.02.1]", BadLiteral),
        ("a@[2001:db8::1]", BadLiteral),
        ("a@[IPv6:2001:db8::1%eth0]", BadLiteral),
        ("a@[IPv6:192.0.2.1]", BadLiteral),
        ("a@[X400:foo]", BadLiteral),
        ("a@[]", BadLiteral),
        ("a@[192.0.2.1].example.org", BadLiteral),
        ("a@[ 192.0.2.1]", BadLiteral),
    ];
    for (text, error) in rows {
        assert_eq!(Mailbox::parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn reads_reverse_paths() {
    assert_eq!(ReversePath::parse("<>"), Ok(ReversePath::Null));
    assert_eq!(ReversePath::parse("<a@b.c>").unwrap().to_string(), "<a@b.c>");
    let rows = [
        ("", PathError::NoBrackets),
        ("a@b.c", PathError::NoBrackets),
        ("<a@b.c", PathError::NoBrackets),
        ("a@b.c>", PathError::NoBrackets),
        ("<\"a>@b.c", PathError::NoBrackets),
        ("<a@b.c>x", PathError::NoBrackets),
        ("<postmaster>", PathError::NoDomain),
        ("< >", PathError::NoDomain),
        ("<<a@b.c>>", PathError::BadLocal),
        ("< a@b.c>", PathError::BadLocal),
        ("<a@b.c >", PathError::BadDomain),
    ];
    for (text, error) in rows {
        assert_eq!(ReversePath::parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn reads_forward_paths() {
    assert_eq!(ForwardPath::parse("<PostMaster>"), Ok(ForwardPath::Postmaster("PostMaster".to_owned())));
    assert_eq!(ForwardPath::parse("<PostMaster>").unwrap().to_string(), "<PostMaster>");
    assert_eq!(ForwardPath::parse("<\"a>b\"@c>").unwrap().to_string(), "<\"a>b\"@c>");
    for (text, error) in [
        ("<>", PathError::Null),
        ("<\"postmaster\">", PathError::NoDomain),
        ("<postmaster@>", PathError::BadDomain),
        ("<abuse>", PathError::NoDomain),
    ] {
        assert_eq!(ForwardPath::parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn limits_hold_to_the_octet() {
    assert!(LocalPart::parse(&"x".repeat(200)).is_ok());
    let domain = ["x".repeat(63), "y".repeat(63), "z".repeat(63), "w".repeat(63)].join(".");
    assert_eq!(domain.len(), 255);
    assert!(DomainName::parse(&domain).is_ok());
    let fits = format!("<a@{}>", domain.get(..252).unwrap());
    assert_eq!(fits.len(), 256);
    assert!(ReversePath::parse(&fits).is_ok());
    let longer = format!("<aa@{}>", domain.get(..252).unwrap());
    assert_eq!(ReversePath::parse(&longer), Err(PathError::PathTooLong));
}
