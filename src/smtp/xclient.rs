//! XCLIENT: in whose name a trusted hop speaks (<https://www.postfix.org/XCLIENT_README.html>).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::path::DomainName;

/// The keyword and its attributes, as EHLO lists them.
pub const OFFER: &str = "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT";

/// What an XCLIENT command says of the client. What HELO and PROTO say is checked and not kept: the hop greets again behind
/// XCLIENT, and that greeting counts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct XClient {
    /// Its name, as the hop verified it; in lower case.
    pub name: Told<String>,
    /// Its address.
    pub address: Told<IpAddr>,
    /// Its port.
    pub port: Told<u16>,
    /// With which login it authenticated.
    pub login: Told<String>,
    /// The address that it connected to.
    pub local_address: Told<IpAddr>,
    /// The port that it connected to.
    pub local_port: Told<u16>,
}

/// One attribute.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Told<T> {
    /// Not a word: what was known stays.
    #[default]
    Nothing,
    /// `[UNAVAILABLE]` or `[TEMPUNAVAIL]`: there is none, or nobody knows.
    Unavailable,
    /// This.
    Value(T),
}

impl<T: Clone> Told<T> {
    /// What is known now, where `before` was known.
    pub fn over(&self, before: Option<T>) -> Option<T> {
        match self {
            Self::Nothing => before,
            Self::Unavailable => None,
            Self::Value(value) => Some(value.clone()),
        }
    }
}

/// The octets of a login: no more than a path has (RFC 5321 4.5.3.1).
const LONGEST_LOGIN: usize = 320;

impl XClient {
    /// Reads `NAME=value ADDR=value`, at least one, each at most once. `None` for an attribute that does not exist, stands twice
    /// or has a value of another kind.
    pub fn parse(argument: &str) -> Option<Self> {
        let mut said = Self::default();
        let mut seen = Vec::new();
        for pair in argument.split(' ').filter(|pair| !pair.is_empty()) {
            let (attribute, value) = pair.split_once('=')?;
            let attribute = attribute.to_ascii_uppercase();
            said.take(&attribute, &unxtext(value)?)?;
            if seen.contains(&attribute) {
                return None;
            }
            seen.push(attribute);
        }
        (!seen.is_empty()).then_some(said)
    }

    fn take(&mut self, attribute: &str, value: &str) -> Option<()> {
        match attribute {
            "NAME" => self.name = told(value, name)?,
            "ADDR" => self.address = told(value, address)?,
            "PORT" => self.port = told(value, port)?,
            "LOGIN" => self.login = told(value, login)?,
            "DESTADDR" => self.local_address = told(value, address)?,
            "DESTPORT" => self.local_port = told(value, port)?,
            "HELO" => {
                told(value, greeting)?;
            }
            "PROTO" => {
                told(value, protocol)?;
            }
            _ => return None,
        }
        Some(())
    }
}

fn told<T>(value: &str, read: impl Fn(&str) -> Option<T>) -> Option<Told<T>> {
    let unavailable = ["[UNAVAILABLE]", "[TEMPUNAVAIL]"].iter().any(|word| word.eq_ignore_ascii_case(value));
    if unavailable { Some(Told::Unavailable) } else { read(value).map(Told::Value) }
}

fn name(value: &str) -> Option<String> {
    let fits = value.is_ascii() && value.len() <= 253 && DomainName::parse(value).is_ok();
    fits.then(|| value.to_ascii_lowercase())
}

/// `192.0.2.1` or `IPV6:2001:db8::1`.
fn address(value: &str) -> Option<IpAddr> {
    let v6 = value.split_at_checked(5).filter(|(tag, _)| tag.eq_ignore_ascii_case("IPV6:"));
    match v6 {
        Some((_, address)) => address.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        None => value.parse::<Ipv4Addr>().ok().map(IpAddr::from),
    }
}

fn port(value: &str) -> Option<u16> {
    if value.bytes().all(|octet| octet.is_ascii_digit()) { value.parse().ok() } else { None }
}

fn login(value: &str) -> Option<String> {
    let fits = !value.is_empty() && value.len() <= LONGEST_LOGIN && !value.contains(char::is_control);
    fits.then(|| value.to_owned())
}

fn greeting(value: &str) -> Option<()> {
    (!value.is_empty() && value.len() <= 255 && !value.contains(char::is_control)).then_some(())
}

fn protocol(value: &str) -> Option<()> {
    ["SMTP", "ESMTP"].iter().any(|known| known.eq_ignore_ascii_case(value)).then_some(())
}

/// RFC 3461 4: `+XX` stands for an octet, `=` and `+` never for themselves.
fn unxtext(value: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((octet, behind)) = rest.split_first() {
        rest = behind;
        match octet {
            b'=' => return None,
            b'+' => {
                let (digits, behind) = rest.split_first_chunk::<2>()?;
                decoded.push(hexadecimal(digits)?);
                rest = behind;
            }
            octet => decoded.push(*octet),
        }
    }
    String::from_utf8(decoded).ok()
}

fn hexadecimal(digits: &[u8; 2]) -> Option<u8> {
    let both = digits.iter().all(u8::is_ascii_hexdigit);
    let text = str::from_utf8(digits).ok().filter(|_| both)?;
    u8::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_attribute() {
        let said = XClient::parse(
            "NAME=Mail.Example.ORG ADDR=192.0.2.7 port=4711 PROTO=ESMTP HELO=mail+2Eexample.org LOGIN=joe+40example.org \
             DESTADDR=IPV6:2001:db8::25 DESTPORT=25",
        );
        let value = |text: &str| Told::Value(text.to_owned());
        let expected = XClient {
            name: value("mail.example.org"),
            address: Told::Value([192, 0, 2, 7].into()),
            port: Told::Value(4711),
            login: value("joe@example.org"),
            local_address: Told::Value("2001:db8::25".parse().unwrap()),
            local_port: Told::Value(25),
        };
        assert_eq!(said, Some(expected));
        let none =
            XClient::parse("NAME=[unavailable] ADDR=[UNAVAILABLE] PORT=[TEMPUNAVAIL] LOGIN=[UNAVAILABLE]");
        let expected = XClient {
            name: Told::Unavailable,
            address: Told::Unavailable,
            port: Told::Unavailable,
            login: Told::Unavailable,
            ..XClient::default()
        };
        assert_eq!(none, Some(expected));
    }

    #[test]
    fn what_is_not_said_stays() {
        assert_eq!(Told::Nothing.over(Some(1)), Some(1));
        assert_eq!(Told::Unavailable.over(Some(1)), None);
        assert_eq!(Told::Value(2).over(Some(1)), Some(2));
    }

    #[test]
    fn what_is_no_attribute() {
        for argument in [
            "",
            " ",
            "ADDR",
            "ADDR=",
            "=192.0.2.1",
            "ADDR=192.0.2.1 ADDR=192.0.2.2",
            "ADDR=192.0.2",
            "ADDR=192.0.2.01",
            "ADDR=2001:db8::1",
            "ADDR=IPV6:192.0.2.1",
            "ADDR=localhost",
            "ADDR=[UNKNOWN]",
            "NAME=a..b",
            "NAME=a+0D+0Ab",
            "NAME=b+C3+BCcher.example",
            "PORT=65536",
            "PORT=+2B1",
            "PORT=-1",
            "PROTO=LMTP",
            "HELO=a+0Ab",
            "LOGIN=a+00",
            "LOGIN=+",
            "LOGIN=+4",
            "LOGIN=+GG",
            "LOGIN=+4=",
            "LOGIN=a=b",
            "LOGIN=+FF",
            "SOURCE=LOCAL",
            "DESTADDR=x",
            "DESTPORT=x",
        ] {
            assert_eq!(XClient::parse(argument), None, "{argument}");
        }
        assert_eq!(XClient::parse(&format!("LOGIN={}", "a".repeat(321))), None);
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "\\PC{0,80}", attribute in "(NAME|ADDR|PORT|LOGIN|HELO|PROTO|DESTADDR|DESTPORT)") {
            let _ = XClient::parse(&text);
            if let Some(said) = XClient::parse(&format!("{attribute}={text}"))
                && let Told::Value(name) = said.name
            {
                prop_assert!(name.is_ascii() && !name.contains(|c: char| c.is_ascii_control()));
            }
        }
    }
}
