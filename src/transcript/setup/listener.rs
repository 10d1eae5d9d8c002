//! What a listener offers, as a transcript sets it: TLS, AUTH, answers to VRFY, EXPN and HELP.

use super::super::words::{Mistake, Words};
use crate::session::{AuthTerms, Inquiries, Inquiry};

/// What a listener makes of STARTTLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::transcript) enum TlsOffer {
    /// Not offered.
    Off,
    /// Offered; the client may go on without.
    Opportunistic,
    /// Nothing goes without.
    Required,
}

impl TlsOffer {
    pub(in crate::transcript) fn read(words: &mut Words<'_>) -> Result<Self, Mistake> {
        const OFFERS: [(&str, TlsOffer); 4] = [
            ("off", TlsOffer::Off),
            ("on", TlsOffer::Opportunistic),
            ("opportunistic", TlsOffer::Opportunistic),
            ("required", TlsOffer::Required),
        ];
        words.expect("a TLS mode")?.choose("TLS mode", &OFFERS)
    }
}

/// `auth off` or `auth relay`, the latter perhaps with `required` and `without-tls` behind it.
pub(super) fn auth(words: &mut Words<'_>) -> Result<AuthTerms, Mistake> {
    let relay = words.expect("`off` or `relay`")?.choose("AUTH mode", &[("off", false), ("relay", true)])?;
    let mut terms = AuthTerms { relay, ..AuthTerms::default() };
    while let Some(word) = words.next() {
        match word.text {
            "required" => terms.required = true,
            "without-tls" => terms.without_tls = true,
            _ => return Err(Mistake::unknown("condition of AUTH", word, ["required", "without-tls"])),
        }
    }
    Ok(terms)
}

/// `inquiry VRFY relay`.
pub(super) fn inquiry(words: &mut Words<'_>, inquiries: &mut Inquiries) -> Result<(), Mistake> {
    type Place = fn(&mut Inquiries) -> &mut Inquiry;
    const COMMANDS: [(&str, Place); 3] =
        [("VRFY", |all| &mut all.vrfy), ("EXPN", |all| &mut all.expn), ("HELP", |all| &mut all.help)];
    const ANSWERS: [(&str, Inquiry); 3] =
        [("answer", Inquiry::Answer), ("relay", Inquiry::Relay), ("off", Inquiry::Off)];
    let place = words.expect("a command")?.choose("command", &COMMANDS)?;
    *place(inquiries) = words.expect("who answers")?.choose("answer", &ANSWERS)?;
    Ok(())
}
