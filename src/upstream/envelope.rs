//! MAIL and RCPT as the live upstream gets them: word by word, or not at all.

use super::connection::{Connection, Exchange};
use super::fault::Failure;
use crate::smtp::command::{Command, MailCommand, RcptCommand};
use crate::smtp::extensions::Extensions;
use crate::smtp::needs::Need;
use crate::smtp::params::Body;
use crate::smtp::reply::Reply;

/// Octets that Gatepost may add to a message: counted in the SIZE that goes upstream, and taken off the one that is
/// offered to clients.
pub const ADDED_FIELDS_ROOM: u64 = 16 * 1024;

/// MAIL as it is said on this connection, whose replies may be in UTF-8 from then on if `mail` says so.
///
/// # Errors
/// [`Failure::Withdrawn`] when this connection does not offer what the client was promised: nothing was said then.
pub(super) fn mail_line(connection: &mut Connection, mail: &MailCommand) -> Result<String, Failure> {
    let forwarded = forwarded(mail, &connection.extensions())?;
    connection.expect_utf8(mail.params.smtputf8);
    Ok(forwarded.to_string())
}

/// `mail` as the server gets it. SIZE is a service and is left away without harm, and so is `BODY=7BIT`, which says nothing.
fn forwarded(mail: &MailCommand, offered: &Extensions) -> Result<MailCommand, Failure> {
    // `AUTH=<>` claims nothing, so that nothing is lost without it (RFC 4954 5).
    let needs_auth = mail.params.auth.as_deref().is_some_and(|submitter| submitter != NOBODY);
    let missing = |need: &Need| !need.is_met_by(offered) && (*need != Need::Auth || needs_auth);
    if let Some(need) = Need::of_mail(&mail.params).find(missing) {
        return Err(Failure::Withdrawn(need));
    }
    let mut forwarded = mail.clone();
    let size = mail.params.size.filter(|_| offered.size.is_some());
    forwarded.params.size = size.map(|size| size.saturating_add(ADDED_FIELDS_ROOM));
    forwarded.params.body = mail.params.body.filter(|body| *body != Body::SevenBit || offered.eight_bit_mime);
    forwarded.params.auth = mail.params.auth.clone().filter(|_| !offered.auth.is_empty());
    Ok(forwarded)
}

const NOBODY: &str = "<>";

/// Says VRFY or EXPN. What it asks in UTF-8 may be answered so (RFC 6531 3.7.4.2).
///
/// # Errors
/// [`Failure::Withdrawn`] when it is in UTF-8 and this connection does not offer SMTPUTF8.
pub(super) async fn ask_around(connection: &mut Connection, command: &Command) -> Result<Reply, Failure> {
    let line = command.to_string();
    if !line.is_ascii() && !connection.extensions().smtputf8 {
        return Err(Failure::Withdrawn(Need::SmtpUtf8));
    }
    let exchange = if matches!(command, Command::Expn(_)) { Exchange::Expn } else { Exchange::Vrfy };
    let expected = connection.expects_utf8();
    connection.expect_utf8(!line.is_ascii());
    let answer = connection.ask(exchange, &line).await;
    connection.expect_utf8(expected);
    answer
}

/// # Errors
/// [`Failure::Withdrawn`] when this connection does not offer what `rcpt` needs.
pub(super) fn check_rcpt(connection: &Connection, rcpt: &RcptCommand) -> Result<(), Failure> {
    match Need::of_rcpt(&rcpt.params).filter(|need| !need.is_met_by(&connection.extensions())) {
        Some(need) => Err(Failure::Withdrawn(need)),
        None => Ok(()),
    }
}
