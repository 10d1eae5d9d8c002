//! A simulated upstream's side of AUTH: it takes whatever password it is told.

/// An exchange of which the client's next line is a part.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Exchange {
    mechanism: String,
    /// Responses that came so far.
    heard: usize,
}

impl Exchange {
    /// The exchange that begins with the argument of AUTH.
    pub(super) fn begin(argument: &str) -> Self {
        let mut words = argument.split(' ');
        let mechanism = words.next().unwrap_or_default().to_ascii_uppercase();
        Self { mechanism, heard: words.count() }
    }

    /// Another response came.
    pub(super) const fn heard(mut self) -> Self {
        self.heard += 1;
        self
    }

    /// What a server says that accepts everybody.
    pub(super) fn usual(&self) -> &'static str {
        let challenges: &[&str] = match self.mechanism.as_str() {
            "LOGIN" => &["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"],
            "CRAM-MD5" => &["334 PDE4OTYuNjk3MTcwOTUyQHVwc3RyZWFtLmV4YW1wbGU+"],
            scram if scram.starts_with("SCRAM-") => {
                &["334 ", "334 cj1ub25jZSxzPWMyRnNkQT09LGk9NDA5Ng==", "334 dj1jMmxuYm1GMGRYSmw="]
            }
            _ => &["334 "],
        };
        challenges.get(self.heard).unwrap_or(&"235 2.7.0 Authentication successful")
    }
}
