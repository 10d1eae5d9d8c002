//! BDAT: a message in counted chunks (RFC 3030). Each but the last is answered here, the last as the final dot is.

use std::mem;

use bytes::Buf;

use super::stage::{Reason, Refusal, Source, Stage, Verdict};
use super::{Action, Mode, Question, Session, Step, replies};
use crate::smtp::chunk::{ChunkDecoder, Event};
use crate::smtp::command::{ChunkCommand, Verb};
use crate::smtp::data::DataError;
use crate::smtp::params::Body;
use crate::smtp::text_line::LineMeter;

/// How many octets of a refused chunk are read and dropped, in messages of the largest size that is taken. Whoever announces more is
/// hung up on instead.
const DROPPED: u64 = 4;

/// The message that comes in chunks, between two of them.
#[derive(Debug, Default)]
pub(super) enum Chunks {
    /// There is none.
    #[default]
    Absent,
    /// What came so far is good.
    Open(Good),
    /// A chunk was refused. What else of its message is under way is refused too, until the client says that it knows: RSET, a new
    /// greeting, or LAST.
    Refused,
}

/// What came of a message in chunks so far.
#[derive(Debug)]
pub(super) struct Good {
    decoder: ChunkDecoder,
    /// There where long lines are refused: not in a binary message, which need not have any lines.
    lines: Option<LineMeter>,
}

/// A chunk that is being read.
#[derive(Debug)]
pub(super) struct Chunk {
    good: Good,
    last: bool,
    /// Whether its message had begun when it came.
    begun: bool,
    /// Why it cannot be taken. All of it is read all the same, so that no octet of it is taken for a command.
    refusal: Option<Refusal>,
}

impl Chunk {
    /// The message cannot be taken any more.
    pub(super) fn spoil(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert(refusal);
    }
}

impl Session {
    /// BDAT (RFC 3030 2). A refusal is said behind the chunk that it is about, as the octets of the chunk come in any case.
    pub(super) fn bdat(&mut self, step: Step<ChunkCommand>) {
        match step {
            // Without octets it brings the message no further.
            Step::Said(ChunkCommand { size: 0, last: false }) if self.counts_junk() => {}
            Step::Said(chunk) => match (self.check_bdat(), mem::take(&mut self.chunks)) {
                (Ok(()), Chunks::Open(good)) => self.begin_chunk(chunk, good),
                (Ok(()), _) => self.ask(Question::Chunk(chunk)),
                (Err(refusal), open) => {
                    self.chunks = open;
                    self.drop_chunk(chunk, refusal);
                }
            },
            Step::Judged(chunk, Verdict::Refuse(refusal)) => self.drop_chunk(chunk, refusal),
            Step::Judged(_, Verdict::Disconnect(refusal)) => self.close_with(Stage::Data, refusal),
            Step::Judged(chunk, verdict) => {
                self.take_order(&verdict);
                self.actions.push_back(Action::BeginMessage);
                let lines = self.terms.limits.text_line.filter(|_| !self.is_binary()).map(LineMeter::new);
                self.begin_chunk(chunk, Good { decoder: ChunkDecoder::new(self.is_binary()), lines });
            }
            Step::Answered(..) => {}
        }
    }

    fn check_bdat(&self) -> Result<(), Refusal> {
        match self.chunks {
            Chunks::Open(_) => return Ok(()),
            Chunks::Refused => return Err(replies::CHUNK_REFUSED.refusal()),
            Chunks::Absent => {}
        }
        self.check_order(&Verb::Bdat.facts())?;
        if !self.hello.as_ref().is_some_and(|hello| hello.extended) {
            return Err(replies::NO_CHUNKING.refusal());
        }
        self.check_recipients()
    }

    /// What may not come while a message comes in chunks (RFC 3030 2).
    pub(super) fn check_chunks(&self, verb: Verb) -> Result<(), Refusal> {
        match (&self.chunks, verb) {
            (Chunks::Open(_), Verb::Mail | Verb::Rcpt | Verb::Data) => Err(replies::IN_CHUNKS.refusal()),
            (Chunks::Refused, Verb::Mail | Verb::Rcpt | Verb::Data) => Err(replies::CHUNK_REFUSED.refusal()),
            _ => Ok(()),
        }
    }

    /// Whether the client is between two chunks of a message.
    pub(super) const fn is_between_chunks(&self) -> bool {
        matches!((&self.chunks, &self.mode), (Chunks::Open(_), Mode::Commands))
    }

    /// Forgets what came in chunks; whether a message was under way.
    pub(super) fn leave_chunks(&mut self) -> bool {
        let between_chunks = matches!(mem::take(&mut self.chunks), Chunks::Open(_));
        between_chunks || matches!(&self.mode, Mode::Chunk(chunk) if chunk.begun)
    }

    /// Whether the message may hold any octet, and therefore comes by BDAT and goes on by BDAT (RFC 3030 3).
    pub(super) fn is_binary(&self) -> bool {
        self.transaction.as_ref().is_some_and(|open| open.mail.params.body == Some(Body::BinaryMime))
    }

    /// A line that was meant as BDAT and cannot be understood: nobody knows how many octets follow that are no commands.
    pub(super) fn broken_chunk(&mut self, refusal: Refusal) {
        self.close_with(Stage::Data, refusal);
    }

    fn begin_chunk(&mut self, chunk: ChunkCommand, good: Good) {
        let size = good.decoder.size().saturating_add(chunk.size);
        let refusal = (size > self.size_limit()).then(|| self.too_large(size));
        self.read_chunk(chunk, good, true, refusal);
    }

    fn drop_chunk(&mut self, chunk: ChunkCommand, refusal: Refusal) {
        let begun = matches!(self.chunks, Chunks::Open(_));
        let dropped = Good { decoder: ChunkDecoder::new(true), lines: None };
        self.read_chunk(chunk, dropped, begun, Some(refusal));
    }

    fn read_chunk(&mut self, chunk: ChunkCommand, mut good: Good, begun: bool, refusal: Option<Refusal>) {
        let too_much = chunk.size > self.terms.limits.message_size.saturating_mul(DROPPED);
        good.decoder.begin(chunk.size);
        let chunk = Chunk { good, last: chunk.last, begun, refusal };
        if chunk.refusal.is_some() && too_much {
            self.end_refused_chunk(chunk);
            self.close();
        } else {
            self.mode = Mode::Chunk(chunk);
        }
    }

    pub(super) fn next_chunk_piece(&mut self) -> bool {
        let Mode::Chunk(chunk) = &mut self.mode else { return false };
        let whole = self.pending.clone();
        let mut input: &[u8] = &whole;
        let event = chunk.good.decoder.decode(&mut input);
        self.pending.advance(whole.len() - input.len());
        match event {
            None => return false,
            Some(Ok(Event::Bytes(piece))) if chunk.refusal.is_none() => {
                if chunk.good.lines.as_mut().is_some_and(|lines| lines.push(piece)) {
                    chunk.spoil(replies::LINE_LENGTH.refusal());
                } else {
                    self.actions.push_back(Action::Store(whole.slice_ref(piece)));
                }
            }
            Some(Ok(Event::Bytes(_))) => {}
            Some(Ok(Event::End)) => self.end_of_chunk(),
            Some(Err(error)) => chunk.spoil(bad_octet(error)),
        }
        true
    }

    fn end_of_chunk(&mut self) {
        let Mode::Chunk(mut chunk) = mem::replace(&mut self.mode, Mode::Commands) else { return };
        if let (true, Err(error)) = (chunk.last, chunk.good.decoder.finish()) {
            chunk.spoil(bad_octet(error));
        }
        if chunk.refusal.is_some() {
            self.end_refused_chunk(chunk);
        } else if chunk.last {
            self.ask(Question::Message);
        } else {
            self.reply(replies::chunk_received(chunk.good.decoder.size()));
            self.chunks = Chunks::Open(chunk.good);
        }
    }

    /// The chunk was read and dropped. A message that had begun is over; nothing behind a chunk that was the last can be part of it.
    fn end_refused_chunk(&mut self, chunk: Chunk) {
        let Some(refusal) = chunk.refusal else { return };
        self.mode = Mode::Commands;
        let rest = if chunk.last { Chunks::Absent } else { Chunks::Refused };
        let before = mem::replace(&mut self.chunks, rest);
        if chunk.begun {
            self.finish_refused(refusal);
        } else if matches!(before, Chunks::Refused) {
            // It was under way already, and is no further error of the client's (RFC 3030 2); but there is an end to that too.
            if !self.counts_junk() {
                self.refuse_again(Stage::Data, refusal);
            }
        } else {
            self.refuse(Stage::Data, refusal);
        }
    }
}

fn bad_octet(error: DataError) -> Refusal {
    let reason = Reason::new(Source::Protocol, error.name()).with_detail(error.to_string());
    Refusal { reply: error.reply(), reason }
}
