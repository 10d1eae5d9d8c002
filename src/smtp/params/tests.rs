use super::{Body, MailParams, Param, ParamError, RcptParams};

#[test]
fn reads_the_parameters_of_mail() {
    let seven = Some(Body::SevenBit);
    let eight = Some(Body::EightBitMime);
    let rows = [
        ("", None, None),
        ("   ", None, None),
        (" SIZE=0", Some(0), None),
        (" SIZE=1024", Some(1024), None),
        (" size=1024", Some(1024), None),
        (" SIZE=00000000000000000005", Some(5), None),
        (" SIZE=18446744073709551615", Some(u64::MAX), None),
        (" BODY=7BIT", None, seven),
        (" Body=8bitmime", None, eight),
        (" SIZE=7 BODY=8BITMIME", Some(7), eight),
        (" BODY=7bit   SIZE=7 ", Some(7), seven),
    ];
    for (text, size, body) in rows {
        assert_eq!(MailParams::parse(text), Ok(MailParams { size, body }), "{text:?}");
    }
}

#[test]
fn refuses_bad_parameters_of_mail() {
    use ParamError::{BadBody, BadSize, Duplicate, Malformed, SizeTooLarge, Unknown};
    let rows = [
        (" SIZE", BadSize),
        (" SIZE=", Malformed),
        (" SIZE=abc", BadSize),
        (" SIZE=-1", BadSize),
        (" SIZE=+1", BadSize),
        (" SIZE=1.5", BadSize),
        (" SIZE=0x10", BadSize),
        (" SIZE=1=2", Malformed),
        (" SIZE=000000000000000000001", BadSize),
        (" SIZE=123456789012345678901", BadSize),
        (" SIZE=18446744073709551616", SizeTooLarge),
        (" SIZE=99999999999999999999", SizeTooLarge),
        (" SIZE=1 SIZE=1", Duplicate),
        (" SIZE=1 BODY=7BIT size=2", Duplicate),
        (" BODY=7BIT BODY=7BIT", Duplicate),
        (" BODY", BadBody),
        (" BODY=", Malformed),
        (" BODY=9BIT", BadBody),
        (" BOGUS=1", Unknown),
        (" BOGUS", Unknown),
        (" SMTPUTF8", Unknown),
        (" RET=FULL", Unknown),
        (" AUTH=<>", Unknown),
        (" AUTH=<x", Unknown),
        (" =1", Malformed),
        (" -X=1", Malformed),
        (" X_Y=1", Malformed),
        (" X=a\u{e9}", Malformed),
        (" <x>", Malformed),
    ];
    for (text, error) in rows {
        assert_eq!(MailParams::parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn refuses_every_parameter_of_rcpt() {
    assert_eq!(RcptParams::parse(""), Ok(RcptParams {}));
    assert_eq!(RcptParams::parse("  "), Ok(RcptParams {}));
    assert_eq!(RcptParams::parse(" NOTIFY=NEVER"), Err(ParamError::Unknown));
    assert_eq!(RcptParams::parse(" ORCPT=rfc822;a+0D+0A@b"), Err(ParamError::Unknown));
    assert_eq!(RcptParams::parse(" SIZE=1"), Err(ParamError::Unknown));
    assert_eq!(RcptParams::parse(" =x"), Err(ParamError::Malformed));
}

#[test]
fn a_parameter_has_a_keyword_in_capitals_and_a_value_as_it_was() {
    let param = Param { keyword: "ENV-ID".to_owned(), value: Some("aB+2B".to_owned()) };
    assert_eq!(Param::parse("Env-Id=aB+2B"), Ok(param));
    assert_eq!(Param::parse("X"), Ok(Param { keyword: "X".to_owned(), value: None }));
}
