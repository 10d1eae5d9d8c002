use super::*;

/// Each of `good` goes on as it is, each of `bad` is refused.
fn check(read: fn(Option<&str>) -> Result<String, ParamError>, good: &[&str], bad: &[&str]) {
    for value in good {
        assert_eq!(read(Some(value)).as_deref(), Ok(*value));
    }
    for value in bad {
        assert!(read(Some(value)).is_err(), "{value:?}");
    }
    assert!(read(None).is_err(), "no value");
}

#[test]
fn ret_is_one_of_two() {
    assert_eq!(ret(Some("full")), Ok(Ret::Full));
    assert_eq!(ret(Some("HDRS")), Ok(Ret::Headers));
    for value in [None, Some(""), Some("BODY"), Some("FULL,HDRS")] {
        assert_eq!(ret(value), Err(ParamError::BadRet), "{value:?}");
    }
}

#[test]
fn an_envelope_has_a_name_in_xtext() {
    let (longest, longer) = ("x".repeat(100), "x".repeat(101));
    let bad = ["a+2", "a+GG", "a+0D+0Ab", "a+00", "a+7F", "a+FFb", &longer];
    check(env_id, &["QQ314159", "a+2Bb+3Dc", "+c3+a9", "a;b,c", &longest], &bad);
}

#[test]
fn never_stands_alone() {
    let good = ["NEVER", "SUCCESS", "FAILURE,DELAY", "DELAY,SUCCESS,FAILURE"];
    let bad = ["", "NEVER,DELAY", "SUCCESS,", ",", "SUCCESS,SUCCESS", "ALWAYS", "SUCCESS;DELAY"];
    check(notify, &good, &bad);
}

#[test]
fn an_original_recipient_has_a_type() {
    let longest = format!("rfc822;{}", "x".repeat(493));
    let good = [
        "rfc822;a@b.c",
        "RFC822;a+2Bb@c",
        "x400;/c+3Dus/",
        "utf-8;a\\x{e9}b@c",
        "utf-8;\u{e9}+2B@c",
        &longest,
    ];
    let longer = format!("{longest}x");
    let bad = [
        "a@b.c",
        ";a@b.c",
        "rfc822;",
        "a b;c",
        "rfc822;a+b",
        "rfc822;a+0a",
        "rfc822;\u{e9}@c",
        "utf-8;a\\b",
        "utf-8;a\\x{a}b",
        "utf-8;a\\x{0a}",
        "utf-8;\\x{110000}",
        "utf-8;\\x{D800}",
        "utf-8;\\x{41",
        "utf-8;a+b",
        "utf-8;a=b",
        &longer,
    ];
    check(orcpt, &good, &bad);
}

#[test]
fn a_submitter_is_a_mailbox_or_nobody() {
    let long = format!("{}@b.c", "x".repeat(500));
    check(
        auth,
        &["<>", "a@b.c", "e+3Dmc2@b.c"],
        &["", "<", "<a@b.c>", "a", "a+40b@c+0A", "+C3+A9@b.c", &long],
    );
}

#[test]
fn a_delivery_has_its_time() {
    let good = ["120;R", "+120;rt", "0;N", "-5;NT", "999999999;N"];
    let bad = [
        "",
        "120",
        "120;",
        "120;T",
        "120;TR",
        "0;R",
        "+00;R",
        "-5;R",
        "1000000000;N",
        "x;N",
        "--5;N",
        "1;R;N",
    ];
    check(by, &good, &bad);
}

#[test]
fn a_priority_has_one_digit() {
    for (text, priority) in [("0", 0), ("9", 9), ("-9", -9), ("3", 3)] {
        assert_eq!(mt_priority(Some(text)), Ok(priority));
    }
    for text in [None, Some(""), Some("10"), Some("+3"), Some("-0"), Some("03"), Some("-"), Some("x")] {
        assert_eq!(mt_priority(text), Err(ParamError::BadPriority), "{text:?}");
    }
}

#[test]
fn a_release_lies_ahead() {
    check(hold_for, &["1", "0060", "999999999"], &["", "0", "000", "-1", "+1", "1000000000", "1s"]);
    let good = [
        "2026-12-31T23:59:59Z",
        "2026-12-31t23:59:59z",
        "2026-12-31T23:59:59.25+01:00",
        "2026-12-31T23:59:59-11:30",
    ];
    let bad = [
        "",
        "2026-12-31",
        "2026-12-31T23:59:59",
        "2026-12-31 23:59:59Z",
        "2026-12-31T23:59Z",
        "2026-12-31T23:59:59.Z",
        "2026-12-31T23:59:59.1",
        "2026-12-31T23:59:59+01",
        "2026-12-31T23:59:5\u{e9}Z",
    ];
    check(hold_until, &good, &bad);
}
