//! A message on its way upstream: DATA has been answered 354, what is left is the body, the dot and its reply.

use std::io::{ErrorKind, Read};

use tokio::time::Instant;

use super::connection::{Connection, Exchange};
use super::fault::{Failure, Fault, FaultKind};
use crate::metrics::UpstreamMetrics;
use crate::smtp::data::DotStuffer;
use crate::smtp::reply::Reply;

/// How much of a message is read and written at once.
const PIECE: usize = 64 * 1024;

/// The end of a message behind its last CRLF (RFC 5321 4.1.1.4).
const DOT: usize = ".\r\n".len();

/// Sends `message` of about `size` octets and reads the reply to its final dot.
///
/// The reply is the upstream's only if nothing came before the dot was written and nothing came with it: a second reply
/// glued to it means that the first answered something else.
///
/// # Errors
/// As [`Connection::ask`]; a fault once the dot is written is ambiguous. Nothing is ever sent a second time.
pub(super) async fn send<R>(connection: &mut Connection, message: R, size: u64) -> Result<Reply, Failure>
where
    R: Read + Send,
{
    push_all(connection, message, size).await?;
    let doubt = Doubt(Some(connection.metrics.clone()));
    let begun = Instant::now();
    let outcome = connection.wire.reply(connection.timeouts.end_of_data).await;
    let reply = match connection.heard(Exchange::EndOfData, begun, outcome) {
        Ok(reply) => reply,
        Err(Failure::Fault(fault)) => return Err(fault.after_the_dot().into()),
        Err(answer @ (Failure::Refused(_) | Failure::Withdrawn(_))) => {
            doubt.resolved();
            return Err(answer);
        }
    };
    match connection.wire.quiet() {
        // Gone after its reply: the reply stands, and the next command will find out.
        Ok(()) | Err(Fault { kind: FaultKind::Lost, .. }) => {
            doubt.resolved();
            Ok(reply)
        }
        Err(fault) => Err(Failure::Fault(fault.after_the_dot())),
    }
}

/// Writes the message to its dot. The dot is kept back until everything else is written and whatever the upstream said
/// meanwhile has had its chance to be seen: once it is written, a reply that came too early looks like the answer.
async fn push_all<R: Read + Send>(
    connection: &mut Connection,
    mut message: R,
    size: u64,
) -> Result<(), Fault> {
    let within = connection.timeouts.reply;
    let mut stuffer = DotStuffer::new();
    let mut piece = vec![0; piece_size(size)];
    let mut out = Vec::with_capacity(piece.len().saturating_add(piece.len() / 16));
    loop {
        let read = read_full(&mut message, &mut piece)?;
        stuffer.stuff(piece.get(..read).unwrap_or_default(), &mut out);
        if read < piece.len() {
            break;
        }
        connection.wire.push(&out, within).await?;
        out.clear();
    }
    stuffer.finish(&mut out);
    let (rest, dot) = out.split_at(out.len().saturating_sub(DOT));
    connection.wire.push(rest, within).await?;
    tokio::task::yield_now().await;
    connection.wire.push(dot, within).await
}

/// Room for the whole message and one octet more, so that a short one is seen to end with its first piece.
fn piece_size(size: u64) -> usize {
    usize::try_from(size).map_or(PIECE, |size| size.saturating_add(1).min(PIECE))
}

/// Reads until `piece` is full or the message ends.
fn read_full(message: &mut impl Read, piece: &mut [u8]) -> Result<usize, Fault> {
    let mut filled = 0;
    while let Some(space) = piece.get_mut(filled..).filter(|space| !space.is_empty()) {
        match message.read(space) {
            Ok(0) => break,
            Ok(read) => filled = filled.saturating_add(read),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(Fault::new(FaultKind::Spool, e.to_string())),
        }
    }
    Ok(filled)
}

/// Whether the upstream has the message is not known. Counted when it is dropped unresolved, be it by a fault or because
/// nobody waits for the answer any more.
struct Doubt(Option<UpstreamMetrics>);

impl Doubt {
    fn resolved(mut self) {
        self.0 = None;
    }
}

impl Drop for Doubt {
    fn drop(&mut self) {
        if let Some(metrics) = &self.0 {
            metrics.ambiguous();
        }
    }
}
