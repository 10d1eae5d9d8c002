//! Gatepost is a transparent SMTP policy proxy. It stands in front of a mail server, checks SPF, DKIM, DMARC and ARC, lets
//! the operator decide with small Rhai scripts, and forwards what is accepted inside the same session.
//!
//! This page is the map: what lives where, how a message goes through the house, what must never break, and what is absent
//! on purpose. The README is for the postmaster; the tables of keys and script names are in `config/README.md` and
//! `policies/README.md`.
//!
//! # A message's way through the house
//!
//! ```text
//! client ──TCP──▶ server ──▶ proxy::drive ──▶ session ──▶ reply ──▶ client
//!                 admission      │  feeds bytes, performs actions
//!                                │
//!                    Decide ─▶ policy ─▶ verdict        a stage is run, stops for a fact, runs again
//!                                ▲  │ asks
//!                                │  ▼
//!                              facts ◀── dns, checks, state
//!                                │
//!                    Store ──▶ message: header kept, body spooled and hashed
//!                                │
//!                    AskUpstream, Deliver ──▶ upstream ──TCP/TLS──▶ the mail server
//! ```
//!
//! 1. [`server`] accepts a connection, finds it a place within the limits and starts [`proxy::drive`]. Who the client is may
//!    be said by a hop that we believe: in a PROXY header, which the loop reads first, or by XCLIENT.
//! 2. [`proxy::drive`] reads bytes and hands them to a [`session::Session`], a state machine that owns no socket and no
//!    clock. The session cuts them into commands with [`smtp`], checks their order and limits, and says what it wants done:
//!    an [`Action`](session::Action). A login (AUTH) is relayed to the upstream line by line; we keep no passwords.
//! 3. At each [`Stage`](session::stage::Stage) it wants a decision. [`policy`] runs the scripts of the generation in force;
//!    a script that needs the world outside asks a [`Question`](policy::question::Question), is stopped, and is run again
//!    from its start when [`facts`] has the answer.
//! 4. The first recipient that passes says by its domain which [`upstream`] the message is for ([`proxy::Routes`]), and
//!    opens the connection to the first of its addresses that works. From then on each recipient gets the upstream's own
//!    answer.
//! 5. The message, by DATA or in chunks by BDAT, goes to the spool of [`message`]; its header is kept apart, its body runs
//!    through the hashes of its signatures on the way, and DNS look-ups for keys and policies start when the header is
//!    complete.
//! 6. After the final dot or the last chunk [`checks`] concludes, the `message` stage is judged, fields are added, and the
//!    upstream gets the message. The client hears the upstream's reply.
//!
//! **What happens at RCPT** is one method, `Session::rcpt` in `session/commands.rs`: it checks, asks policy, and
//! proceeds to the upstream. Every other command has its method in the same file, in the order of the RFC, but those that
//! are a subject of their own: AUTH (`session/auth.rs`), BDAT (`chunks.rs`), VRFY, EXPN and HELP (`inquiries.rs`), XCLIENT
//! (`xclient.rs`).
//!
//! **What a client is offered** by EHLO is what the upstream offers and we carry as it is ([`session::Offers`]), and what we
//! do ourselves; with several upstreams, what all of them offer. `config/extensions.md` has it as tables, made by a test.
//!
//! # The floors
//!
//! A room imports only from floors below it; a test of the project reads the `use` lines and holds them to it.
//!
//! | floor | room | what lives there | deliberately absent |
//! |---|---|---|---|
//! | 0 | [`smtp`] | the words: commands, replies, extensions, paths, lines, data, chunks | tokio, time, logs |
//! | 1 | [`message`] | header view and edits, stamps, parts and attachments, spool | policy, DNS |
//! | 1 | [`session`] | the server side of the dialogue | async, DNS, scripts, metrics, the clock, the body's bytes |
//! | 2 | [`dns`] | the resolver with its caches and limits; a responder for tests | SMTP, policy |
//! | 3 | [`checks`] | SPF, DKIM, DMARC, ARC and seals; the only room that knows mail-auth | replies: a check never refuses |
//! | 3 | [`state`] | greylisting, rates and what is to be remembered; embedded or in Redis | SMTP, policy |
//! | 3 | [`quarantine`] | messages that policies keep back: on disk, listed, let go, deleted | the dialogue, policy |
//! | 3 | [`upstream`] | the client side of the dialogue, SMTP and LMTP; addresses, capabilities, identity; the Maildir | session, policy |
//! | 4 | [`policy`] | Rhai: engine, script API, verdicts, lists, loading, snapshot | sockets, where facts come from |
//! | 5 | [`facts`] | answers what policy asks: DNS and lists in DNS, checks, web services, scanners | the dialogue |
//! | 5 | [`decisions`] | what was decided and why: kept in memory and files, explained, asked of other policies | sessions under way |
//! | 6 | [`proxy`] | the loop where all of them meet; PROXY headers, routes; the books, that is metrics and journal | listeners, YAML, concrete sockets |
//! | 7 | [`server`], [`admin`] | sockets, also systemd's; limits, rates, drain, reload; HTTP for metrics, health, and what the operator asks and orders | Rhai |
//! | 7 | [`transcript`] | runs dialogues from files through the same loop, in a simulated world | sockets towards client and upstream |
//! | 8 | [`config`], [`cli`] | YAML to ready values; commands | |
//!
//! [`tls`], [`metrics`], [`log`], [`diagnostic`], [`tap`] (live sessions for those who listen), [`permissions`] (who else may read or
//! change a file), `files` (read without waiting and within bounds), `durable` (files that outlive a power cut), `units` (sizes and durations as people write them) and
//! `serial` (values as they stand in JSON) are pillars that every floor from 3 up may lean on. Configuration is the roof: each room owns the small struct of settings that it needs, and [`config`]
//! builds them.
//!
//! # Invariants
//!
//! 1. **No acknowledged mail is lost.** The session says 250 to a final dot on a [`Receipt`](smtp::receipt::Receipt) only,
//!    and a receipt is made where the upstream's complete 2yz reply is read, or where a Maildir or the quarantine has synced
//!    file and folder.
//!    The one exception is a policy's `discard`, in so many words.
//! 2. **Bytes are sacred.** What goes upstream is what arrived, plus and minus declared header fields
//!    ([`message::edit::Edits`]).
//! 3. **One message in, one message out.** Lines end with CRLF and nothing else ([`smtp::data::DataDecoder`]); a bare CR, a
//!    bare LF or a NUL behind DATA ends the session, but that bare CR and LF from networks of the operator's choice become
//!    CRLF, and never end the message. Of a chunk exactly the announced octets are taken, good or bad
//!    ([`smtp::chunk::ChunkDecoder`]); only a message that was declared to be binary may hold any, and it goes on by BDAT
//!    only.
//! 4. **The upstream has its say.** A recipient is accepted only in the upstream's own words.
//! 5. **A broken policy never loses mail**, and never lets any through: 451 by default.
//! 6. **Attackers choose no resource bound.** Every buffer, table, label set, timer and retry has one that does not depend
//!    on input.
//! 7. **Every decision can be explained.** Each refusal of Gatepost's own ends with an id; the log has rule, file and line.
//!
//! Each has tests that fail when it breaks; `tests/mutations` breaks them on purpose.
//!
//! # Words
//!
//! **client**: the connecting mail server. **upstream**: the guarded one. **listener**: an address that we accept on.
//! **session**: one client connection. **transaction**: MAIL to the end of data. **envelope**: reverse-path, forward-paths
//! and their parameters. **stage**: a point where policy is asked. **check**: SPF, DKIM, DMARC or ARC; it yields a *result*.
//! **fact**: what a script asks for. **verdict**: policy's answer at a stage. **outcome**: what became of a message.
//! **decision**: a refusal or transaction with what led to it. **generation**: one compiled set of policies.
//!
//! # Deliberately absent
//!
//! A queue, mailboxes, MX delivery, POP and IMAP, content scoring. What Gatepost does not carry is refused
//! by its name, never dropped in silence.

pub mod admin;
pub mod checks;
pub mod cli;
pub mod config;
pub mod decisions;
pub mod diagnostic;
pub mod dns;
pub(crate) mod durable;
pub mod facts;
pub(crate) mod files;
pub mod log;
pub mod message;
pub mod metrics;
pub mod permissions;
pub mod policy;
pub mod proxy;
pub mod quarantine;
pub(crate) mod serial;
pub mod server;
pub mod session;
pub mod smtp;
pub mod state;
pub mod tap;
pub mod tls;
pub mod transcript;
pub(crate) mod units;
pub mod upstream;
