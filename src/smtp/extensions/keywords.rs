//! What a server offers, in the words of its EHLO.

use super::Extensions;

impl Extensions {
    /// The keywords that are known here, without their arguments but those of AUTH, XCLIENT and XFORWARD.
    pub fn keywords(&self) -> Vec<String> {
        let flags = [
            ("PIPELINING", self.pipelining),
            ("SIZE", self.size.is_some()),
            ("STARTTLS", self.starttls),
            ("ENHANCEDSTATUSCODES", self.enhanced_status_codes),
            ("8BITMIME", self.eight_bit_mime),
            ("SMTPUTF8", self.smtputf8),
            ("DSN", self.dsn),
            ("CHUNKING", self.chunking),
            ("BINARYMIME", self.binary_mime),
            ("DELIVERBY", self.deliver_by.is_some()),
            ("MT-PRIORITY", self.mt_priority.is_some()),
            ("FUTURERELEASE", self.future_release.is_some()),
            ("REQUIRETLS", self.require_tls),
            ("HELP", self.help),
            ("VRFY", self.vrfy),
            ("EXPN", self.expn),
        ];
        let plain = flags.into_iter().filter(|(_, offered)| *offered).map(|(word, _)| word.to_owned());
        let lists = [("AUTH", &self.auth), ("XCLIENT", &self.xclient), ("XFORWARD", &self.xforward)];
        let listed = lists.into_iter().filter(|(_, words)| !words.is_empty());
        plain.chain(listed.map(|(word, words)| format!("{word} {}", words.join(" ")))).collect()
    }
}
