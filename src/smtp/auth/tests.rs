use data_encoding::BASE64;
use proptest::prelude::*;

use super::*;

fn login(mechanism: &str, said: &[u8]) -> String {
    let mut login = Login::new(Mechanism::parse(mechanism).unwrap());
    login.hear(&Secret::parse(BASE64.encode(said).as_bytes()).unwrap());
    login.hear(&Secret::parse(b"c2Vjb25k").unwrap());
    login.user
}

#[test]
fn the_user_is_read_from_the_first_response() {
    let rows: &[(&str, &[u8], &str)] = &[
        ("PLAIN", b"\0suzie\0secret", "suzie"),
        ("PLAIN", b"boss\0suzie\0secret", "suzie"),
        ("plain", b"\0suzie@example.org\0", "suzie@example.org"),
        ("PLAIN", b"suzie\0secret", ""),
        ("PLAIN", b"\0suzie\0sec\0ret", ""),
        ("PLAIN", b"", ""),
        ("LOGIN", b"suzie", "suzie"),
        ("LOGIN", b"su\r\nzie", ""),
        ("LOGIN", b"su\xffzie", ""),
        ("LOGIN", &[b'x'; 255], &"x".repeat(255)),
        ("LOGIN", &[b'x'; 256], ""),
        ("LOGIN", "Süße".as_bytes(), "Süße"),
        ("CRAM-MD5", b"suzie q 0123456789abcdef", "suzie q"),
        ("CRAM-MD5", b"suzie", ""),
        ("SCRAM-SHA-256", b"n,,n=suzie,r=nonce", "suzie"),
        ("SCRAM-SHA-1", b"y,a=boss,n=su=2Czie=3D,r=nonce", "su,zie="),
        ("SCRAM-SHA-1", b"n,,m=x,n=suzie", ""),
        ("XOAUTH2", b"user=suzie@example.org\x01auth=Bearer token\x01\x01", "suzie@example.org"),
        ("OAUTHBEARER", b"n,a=suzie@example.org,\x01auth=Bearer token\x01\x01", "suzie@example.org"),
        ("OAUTHBEARER", b"n,,\x01auth=Bearer token\x01\x01", ""),
        ("EXTERNAL", b"suzie", "suzie"),
        ("GSSAPI", b"suzie", ""),
    ];
    for (mechanism, said, user) in rows {
        assert_eq!(&login(mechanism, said), user, "{mechanism} {said:?}");
    }
}

#[test]
fn base64_is_taken_by_the_letter() {
    for good in ["", "AA==", "AAA=", "AAAA", "+/+/", "AGEAYg=="] {
        assert!(Secret::parse(good.as_bytes()).is_ok(), "{good}");
    }
    for bad in
        ["=", "A", "AA", "AAA", "AA=", "AB==", "AA==AA==", "A A=", " AAAA", "AAAA ", "_-_-", "\u{e9}AAA"]
    {
        assert!(Secret::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(Secret::parse_initial("=").is_ok());
    assert!(Secret::parse_initial("==").is_err());
}

#[test]
fn mechanisms() {
    for (word, name) in [
        ("plain", Some("PLAIN")),
        ("SCRAM-SHA-256-PLUS", Some("SCRAM-SHA-256-PLUS")),
        ("X_1-y", Some("X_1-Y")),
    ] {
        assert_eq!(Mechanism::parse(word).map(|found| found.0).as_deref(), name);
    }
    for word in ["", "PLAIN=", "A B", "\u{e9}", "ABCDEFGHIJKLMNOPQRSTU"] {
        assert_eq!(Mechanism::parse(word), None, "{word}");
    }
    let relayed = |word: &str| Mechanism::parse(word).unwrap().can_be_relayed();
    assert!(relayed("PLAIN") && relayed("SCRAM-SHA-1") && relayed("PLUS"));
    assert!(!relayed("SCRAM-SHA-1-PLUS") && !relayed("anonymous"));
}

#[test]
fn lines_go_on_as_they_came() {
    let begin = |initial: Option<&str>| {
        AuthLine::Begin(AuthCommand {
            mechanism: Mechanism::parse("plain").unwrap(),
            initial: initial.map(|text| Secret::parse_initial(text).unwrap()),
        })
    };
    assert_eq!(*begin(None).wire(), "AUTH PLAIN");
    assert_eq!(*begin(Some("=")).wire(), "AUTH PLAIN =");
    assert_eq!(*begin(Some("AGEAYg==")).wire(), "AUTH PLAIN AGEAYg==");
    assert_eq!(*AuthLine::Response(Secret::parse(b"").unwrap()).wire(), "");
    assert_eq!(*AuthLine::Response(Secret::parse(b"AAAA").unwrap()).wire(), "AAAA");
    assert_eq!(*AuthLine::Cancel.wire(), "*");
}

#[test]
fn no_secret_is_shown() {
    let initial = Some(Secret::parse(b"AHN1emllAGh1bnRlcjI=").unwrap());
    let line = AuthLine::Begin(AuthCommand { mechanism: Mechanism::parse("PLAIN").unwrap(), initial });
    let shown = format!("{line:?} {line:#?}");
    assert!(shown.contains("Secret(..)"), "{shown}");
    for encoding in ["AHN1emll", "hunter2", "104, 117, 110", "h1bnRl"] {
        assert!(!shown.contains(encoding), "{shown}");
    }
}

proptest! {
    #[test]
    fn whatever_is_said_a_user_is_a_short_clean_text(
        mechanism in "PLAIN|LOGIN|CRAM-MD5|SCRAM-SHA-1|XOAUTH2|OAUTHBEARER|EXTERNAL|NTLM",
        said in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let user = login(&mechanism, &said);
        prop_assert!(user.len() <= MAX_USER && !user.chars().any(char::is_control));
    }

    #[test]
    fn a_response_is_relayed_octet_by_octet(said in proptest::collection::vec(any::<u8>(), 0..100)) {
        let text = BASE64.encode(&said);
        let secret = Secret::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(&*secret.decoded(), &said);
        prop_assert_eq!(&*AuthLine::Response(secret).wire(), &text);
    }
}
