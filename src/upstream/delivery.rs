//! A message on its way upstream: by DATA, which has been answered 354, or in chunks; and the reply to it.

use tokio::time::Instant;

use super::connection::{Connection, Exchange};
use super::fault::{Failure, Fault, FaultKind};
use super::pieces::{PIECE, Pieces};
use crate::message::spool::Outgoing;
use crate::metrics::UpstreamMetrics;
use crate::smtp::command::ChunkCommand;
use crate::smtp::data::DotStuffer;
use crate::smtp::reply::Reply;
use crate::tap::{self, Speaker};

/// The end of a message behind its last CRLF (RFC 5321 4.1.1.4).
const DOT: usize = ".\r\n".len();

/// Octets of a chunk, and of a message that goes in one.
const CHUNK: u64 = 1024 * 1024;

/// Sends `message` with its final dot and reads the reply.
///
/// The reply is the upstream's only if nothing came before the dot was written and nothing came with it: a second reply
/// glued to it means that the first answered something else.
///
/// # Errors
/// As [`Connection::ask`]; a fault once the dot is written is ambiguous. Nothing is ever sent a second time.
pub(super) async fn send(connection: &mut Connection, message: &Outgoing) -> Result<Reply, Failure> {
    push_all(connection, message).await?;
    answer(connection).await
}

/// Sends `message` by BDAT (RFC 3030 2) and gives the reply to its last chunk, or the refusal of an earlier one, with what it
/// answers.
///
/// Each chunk is answered before the next one is sent. The reply to the last is the upstream's under the same conditions as
/// the one to a final dot, of which the last octet of the message takes the place.
///
/// # Errors
/// As for [`send`].
pub(super) async fn send_in_chunks(
    connection: &mut Connection,
    message: &Outgoing,
) -> Result<(Exchange, Reply), Failure> {
    let mut pieces = Pieces::of(message);
    let mut left = message.size();
    while left > CHUNK {
        push_chunk(connection, &mut pieces, ChunkCommand { size: CHUNK, last: false }).await?;
        let reply = connection.hear(Exchange::Bdat, true).await?;
        if !reply.is_completed() {
            return Ok((Exchange::Bdat, reply));
        }
        left = left.saturating_sub(CHUNK);
    }
    push_chunk(connection, &mut pieces, ChunkCommand { size: left, last: true }).await?;
    Ok((Exchange::EndOfData, answer(connection).await?))
}

/// The reply to a message that was sent to its end.
async fn answer(connection: &mut Connection) -> Result<Reply, Failure> {
    tap::say(Speaker::Gatepost, ". (the end of the message)");
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

/// Writes the message to its dot.
async fn push_all(connection: &mut Connection, message: &Outgoing) -> Result<(), Fault> {
    let mut pieces = Pieces::of(message);
    let mut stuffer = DotStuffer::new();
    let mut left = message.size();
    let mut out = Vec::new();
    while left > 0 {
        connection.wire.push(&out, connection.timeouts.reply).await?;
        out.clear();
        let piece = pieces.next(left).await?;
        stuffer.stuff(piece, &mut out);
        left = left.saturating_sub(piece.len() as u64);
    }
    stuffer.finish(&mut out);
    push_end(connection, &out, DOT).await
}

/// Writes a chunk, the end of the last one as the end of a message.
async fn push_chunk(
    connection: &mut Connection,
    pieces: &mut Pieces,
    chunk: ChunkCommand,
) -> Result<(), Fault> {
    let mut left = chunk.size;
    let mut out = format!("{chunk}\r\n").into_bytes();
    while left > 0 {
        if out.len() >= PIECE {
            connection.wire.push(&out, connection.timeouts.reply).await?;
            out.clear();
        }
        let piece = pieces.next(left).await?;
        out.extend_from_slice(piece);
        left = left.saturating_sub(piece.len() as u64);
    }
    if chunk.last {
        push_end(connection, &out, 1).await
    } else {
        connection.wire.push(&out, connection.timeouts.reply).await
    }
}

/// Writes `out`, which ends with the last octets of a message. So many of them are kept back until everything else is written and
/// whatever the upstream said meanwhile has had its chance to be seen: once they are written, a reply that came too early looks like the
/// answer.
async fn push_end(connection: &mut Connection, out: &[u8], kept_back: usize) -> Result<(), Fault> {
    let within = connection.timeouts.reply;
    let (rest, end) = out.split_at(out.len().saturating_sub(kept_back));
    connection.wire.push(rest, within).await?;
    tokio::task::yield_now().await;
    connection.wire.push(end, within).await
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
