//! Messages, and how a stored one is compared with what was sent.

/// A plain message with a subject; lines end with CRLF.
pub(crate) fn letter(subject: &str) -> Vec<u8> {
    letter_of(subject, b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n")
}

/// A message with this body.
pub(crate) fn letter_of(subject: &str, body: &[u8]) -> Vec<u8> {
    let mut message = format!(
        "From: Joe <joe@sender.example>\r\nTo: suzie@example.org\r\nSubject: {subject}\r\n\
         Date: Fri, 11 Jul 2025 21:00:37 -0700\r\nMessage-ID: <{subject}@sender.example>\r\n\r\n"
    )
    .into_bytes();
    message.extend_from_slice(body);
    message
}

/// The fields that stand on top of a message since it was sent, and the rest, which has to be as it was.
#[derive(Debug)]
pub(crate) struct AddedFields {
    /// Name in lower case and value, unfolded.
    fields: Vec<(String, String)>,
}

impl AddedFields {
    /// Takes apart what Postfix stored (lines end with LF) and holds its end against what was sent.
    #[track_caller]
    pub(crate) fn of(stored: &[u8], sent: &[u8]) -> Self {
        let sent = with_unix_ends(sent);
        let original = stored.len().checked_sub(sent.len()).expect("stored is shorter than sent");
        let (added, rest) = stored.split_at(original);
        if rest != sent {
            let differs = rest.iter().zip(&sent).position(|(stored, sent)| stored != sent).unwrap();
            let near = |bytes: &[u8]| {
                let from = differs.saturating_sub(40);
                String::from_utf8_lossy(&bytes[from..bytes.len().min(differs + 40)]).into_owned()
            };
            panic!("stored differs at {differs}: {:?} was sent, {:?} stored", near(&sent), near(rest));
        }
        Self { fields: fields(std::str::from_utf8(added).unwrap()) }
    }

    /// The names of the fields, in their order.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.fields.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The value of the only field with this name.
    #[track_caller]
    pub(crate) fn only(&self, name: &str) -> &str {
        let [value] = *self.all(name) else { panic!("{name}: {:?}", self.fields) };
        value
    }

    /// The values of all fields with this name.
    pub(crate) fn all(&self, name: &str) -> Box<[&str]> {
        self.fields.iter().filter(|(has, _)| has == name).map(|(_, value)| value.as_str()).collect()
    }
}

fn fields(text: &str) -> Vec<(String, String)> {
    let unfolded = text.replace("\n\t", " ").replace("\n ", " ");
    let field = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line:?} in {text}"));
        (name.to_ascii_lowercase(), value.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
    };
    unfolded.lines().map(field).collect()
}

/// A message as mailboxes keep it.
pub(crate) fn with_unix_ends(message: &[u8]) -> Vec<u8> {
    let mut unix = Vec::with_capacity(message.len());
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        unix.extend_from_slice(line.strip_suffix(b"\r\n").unwrap_or(line));
        if line.ends_with(b"\r\n") {
            unix.push(b'\n');
        }
    }
    unix
}
