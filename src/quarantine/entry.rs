//! What is known about a quarantined message, and its form on disk.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::shelf::Id;
use crate::smtp::command::{Command, MailCommand, RcptCommand};

/// The form of the file; a reader that does not know it says so.
const VERSION: u64 = 1;

/// Everything that is needed to judge a message later, and to send it on as if it had never been kept back.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When it came.
    pub time: Timestamp,
    /// The listener that it came to.
    pub listener: String,
    /// The session's id, as in the log.
    pub session: String,
    /// The transaction's id, as in the log and in `Received`.
    pub transaction: String,
    /// Who brought it.
    pub client: Client,
    /// The name of the upstream that it is for.
    pub upstream: String,
    /// The MAIL command.
    pub mail: MailCommand,
    /// The recipients who did not get it.
    pub recipients: Vec<Kept>,
    /// Octets of the message.
    pub size: u64,
}

/// Who brought a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Client {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// Its verified name; empty without one.
    pub name: String,
    /// What it called itself.
    pub helo: String,
    /// Whether it said EHLO.
    pub esmtp: bool,
    /// Its login; empty without one.
    pub login: String,
}

/// One recipient, and why it did not get the message.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The RCPT command.
    pub rcpt: RcptCommand,
    /// The rule, such as `announce.not-a-member`.
    pub rule: String,
    /// `file:line` of the rule's verdict.
    pub place: String,
    /// The reason that the rule gave; it may hold text of the client's.
    pub reason: String,
}

impl Entry {
    /// The rule that kept it back; the first of several.
    pub fn rule(&self) -> &str {
        self.recipients.first().map_or("", |kept| &kept.rule)
    }

    /// As it is written to disk and shown to programs.
    pub(super) fn to_json(&self, id: &Id) -> String {
        format!("{:#}\n", self.to_value(id))
    }

    /// The same as a value.
    pub fn to_value(&self, id: &Id) -> Value {
        let recipients = self.recipients.iter().map(|kept| {
            json!({
                "rcpt": kept.rcpt.to_string(),
                "rule": kept.rule,
                "place": kept.place,
                "reason": kept.reason,
            })
        });
        json!({
            "version": VERSION,
            "id": id.as_str(),
            "time": self.time.to_string(),
            "listener": self.listener,
            "session": self.session,
            "transaction": self.transaction,
            "client": {
                "ip": self.client.ip.to_string(),
                "port": self.client.port,
                "name": self.client.name,
                "helo": self.client.helo,
                "esmtp": self.client.esmtp,
                "login": self.client.login,
            },
            "upstream": self.upstream,
            "mail": self.mail.to_string(),
            "recipients": recipients.collect::<Vec<_>>(),
            "size": self.size,
        })
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// What is missing, or is not what it should be.
    pub(super) fn from_json(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if value.get("version").and_then(Value::as_u64) != Some(VERSION) {
            return Err("it is of another version".to_owned());
        }
        let client = value.get("client").unwrap_or(&Value::Null);
        let recipients = value.get("recipients").and_then(Value::as_array).map(Vec::as_slice);
        Ok(Self {
            time: parsed(&value, "time")?,
            listener: text_of(&value, "listener")?,
            session: text_of(&value, "session")?,
            transaction: text_of(&value, "transaction")?,
            client: Client {
                ip: parsed(client, "ip")?,
                port: number(client, "port")?.try_into().unwrap_or_default(),
                name: text_of(client, "name")?,
                helo: text_of(client, "helo")?,
                esmtp: client.get("esmtp").and_then(Value::as_bool).unwrap_or(true),
                login: text_of(client, "login")?,
            },
            upstream: text_of(&value, "upstream")?,
            mail: mail(&text_of(&value, "mail")?)?,
            recipients: recipients.unwrap_or_default().iter().map(kept).collect::<Result<_, _>>()?,
            size: number(&value, "size")?,
        })
    }
}

fn kept(value: &Value) -> Result<Kept, String> {
    let line = text_of(value, "rcpt")?;
    match Command::parse(line.as_bytes(), true) {
        Ok(Command::Rcpt(rcpt)) => Ok(Kept {
            rcpt,
            rule: text_of(value, "rule")?,
            place: text_of(value, "place")?,
            reason: text_of(value, "reason")?,
        }),
        _ => Err(format!("`{}` is no RCPT command", line.escape_debug())),
    }
}

fn mail(line: &str) -> Result<MailCommand, String> {
    match Command::parse(line.as_bytes(), true) {
        Ok(Command::Mail(mail)) => Ok(mail),
        _ => Err(format!("`{}` is no MAIL command", line.escape_debug())),
    }
}

fn text_of(value: &Value, key: &str) -> Result<String, String> {
    let text = value.get(key).and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| format!("`{key}` is not there"))
}

fn number(value: &Value, key: &str) -> Result<u64, String> {
    value.get(key).and_then(Value::as_u64).ok_or_else(|| format!("`{key}` is not there"))
}

fn parsed<T: std::str::FromStr>(value: &Value, key: &str) -> Result<T, String> {
    let text = text_of(value, key)?;
    text.parse().map_err(|_| format!("`{key}` is not what it should be: {}", text.escape_debug()))
}
