//! `gatepost quarantine`: look at the mail that policies keep back, let it go, delete it.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Failure;
use super::screen::{Screen, count};
use crate::config::ready;
use crate::config::{Glimpse, Settings};
use crate::log::safe;
use crate::message::spool::{Outgoing, Stored};
use crate::metrics::{QuarantineMetrics, UpstreamMetrics};
use crate::quarantine::{Claim, Entry, Id, Listed, Quarantine};
use crate::upstream::{self, ClientName, TcpDial, Upstream};

/// How long letting one message go may take: as long as a session would give it.
const PATIENCE: Duration = Duration::from_secs(9 * 60);
/// The most of a header that is shown.
const MAX_HEADER: u64 = 1 << 20;

/// What is done with the quarantine.
#[derive(Debug, Subcommand)]
pub(super) enum Order {
    /// List what is kept, the oldest first
    List {
        /// For people, or for programs
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show what is known about an entry, and the header of its message
    Show {
        /// The entry
        id: String,
        /// For people, or for programs
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// The whole message instead, octet by octet
        #[arg(long, conflicts_with = "format")]
        raw: bool,
    },
    /// Send messages to the recipients from whom they were kept, and remove them when the upstream has taken them
    Release {
        /// The entries
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Delete messages for good
    Delete {
        /// The entries
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

/// How answers look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(super) enum Format {
    /// Lines for people.
    #[default]
    Text,
    /// JSON.
    Json,
}

/// Does what is asked with the quarantine that is configured. To let mail go takes the whole configuration, which `load` gives.
pub(super) fn quarantine(
    seen: &Glimpse,
    order: &Order,
    screen: Screen,
    load: impl FnOnce() -> Result<Settings, Failure>,
) -> Result<(), Failure> {
    let store = open(seen.quarantine.as_ref()).inspect_err(|_| screen.diagnostics(&seen.problems))?;
    match order {
        Order::List { format } => list(&store, *format, screen),
        Order::Show { id, format, raw } => show(&store, id, *format, *raw, screen),
        Order::Release { ids } => {
            let settings = load()?;
            each(ids, screen, |id| release(&settings, &store, id))
        }
        Order::Delete { ids } => each(ids, screen, |id| {
            store.claim(id)?.remove()?;
            Ok(format!("{id} is deleted"))
        }),
    }
}

fn open(configured: Option<&ready::Quarantine>) -> anyhow::Result<Arc<Quarantine>> {
    match configured {
        Some(ready::Quarantine::Folder(folder)) => {
            let opened = Quarantine::open(folder.clone(), QuarantineMetrics::detached());
            opened.with_context(|| format!("{} cannot be used", folder.dir.display()))
        }
        Some(ready::Quarantine::Address) => {
            bail!("quarantined mail goes to an address, and is not kept here")
        }
        None => bail!("no quarantine is configured: add `quarantine: {{ dir: PATH }}`"),
    }
}

fn parse(text: &str) -> anyhow::Result<Id> {
    Id::parse(text).with_context(|| format!("`{}` is no name of an entry", safe(text)))
}

/// Does `what` with each entry; one that fails does not keep the others from their turn.
fn each(ids: &[String], screen: Screen, what: impl Fn(&Id) -> anyhow::Result<String>) -> Result<(), Failure> {
    let mut failed = false;
    for text in ids {
        match parse(text).and_then(|id| what(&id).with_context(|| id.to_string())) {
            Ok(done) => screen.say(&done),
            Err(error) => {
                failed = true;
                screen.error(&error);
            }
        }
    }
    if failed { Err(Failure::Shown) } else { Ok(()) }
}

// === list and show ===

fn list(store: &Quarantine, format: Format, screen: Screen) -> Result<(), Failure> {
    let all = store.list()?;
    if format == Format::Json {
        let entries: Vec<_> = all.iter().map(as_value).collect();
        screen.say_json(&format!("{:#}", Value::Array(entries)));
        return Ok(());
    }
    let rules = all.iter().filter_map(|listed| Some(listed.entry.as_ref().ok()?.rule().chars().count()));
    let width = rules.max().unwrap_or_default();
    for listed in &all {
        screen.say(&line(listed, width));
    }
    screen.say(&count(all.len(), "entry"));
    Ok(())
}

fn as_value(listed: &Listed) -> Value {
    let mut value = match &listed.entry {
        Ok(entry) => entry.to_value(&listed.id),
        Err(error) => json!({ "id": listed.id.as_str(), "error": error }),
    };
    if let Some(fields) = value.as_object_mut() {
        fields.insert("state".to_owned(), listed.state.name().into());
    }
    value
}

/// One entry on one line, its rule in a column of this width; what came from outside cannot break out of it.
fn line(listed: &Listed, width: usize) -> String {
    let (id, state) = (&listed.id, listed.state.name());
    match &listed.entry {
        Ok(entry) => {
            let first = entry.recipients.first().map(|kept| kept.rcpt.path.to_string()).unwrap_or_default();
            let more = match entry.recipients.len() {
                0 | 1 => String::new(),
                all => format!(" and {} more", all.saturating_sub(1)),
            };
            let way = format!("{} -> {first}{more}", entry.mail.path);
            let (time, rule) = (entry.time.strftime("%Y-%m-%dT%H:%M:%SZ"), entry.rule());
            format!("{id}  {state:7}  {time}  {:>9}  {rule:width$}  {}", entry.size, safe(&way))
        }
        Err(error) => format!("{id}  {state:7}  its description cannot be read: {}", safe(error)),
    }
}

fn show(store: &Quarantine, id: &str, format: Format, raw: bool, screen: Screen) -> Result<(), Failure> {
    let id = parse(id)?;
    let claim = store.claim(&id)?;
    if raw {
        let mut out = io::stdout().lock();
        io::copy(&mut claim.message(), &mut out)?;
        return Ok(out.flush()?);
    }
    let header = header(&claim)?;
    match (&claim.entry, format) {
        (Ok(entry), Format::Json) => {
            let mut value = entry.to_value(&id);
            if let Some(fields) = value.as_object_mut() {
                fields.insert("state".to_owned(), claim.state.name().into());
                fields.insert("header".to_owned(), String::from_utf8_lossy(&header).into());
            }
            screen.say_json(&format!("{value:#}"));
        }
        (Ok(entry), Format::Text) => screen.say(&described(&claim, entry, &header)),
        (Err(error), _) => return Err(anyhow!("its description cannot be read: {error}").into()),
    }
    Ok(())
}

/// The message up to its first empty line.
fn header(claim: &Claim) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    claim.message().take(MAX_HEADER).read_to_end(&mut text)?;
    let end = text.windows(4).position(|four| four == b"\r\n\r\n");
    text.truncate(end.map_or(text.len(), |end| end.saturating_add(2)));
    Ok(text)
}

fn described(claim: &Claim, entry: &Entry, header: &[u8]) -> String {
    let client = &entry.client;
    let mut lines = vec![
        format!("entry        {} ({})", claim.id, claim.state.name()),
        format!("came         {}", entry.time),
        format!("from         {} {} helo {}", client.ip, safe(&client.name), safe(&client.helo)),
        format!("to           listener {}, for upstream {}", entry.listener, entry.upstream),
        format!("in           session {}, transaction {}", safe(&entry.session), safe(&entry.transaction)),
        format!("size         {}", entry.size),
        safe(&entry.mail.to_string()).to_string(),
    ];
    if !client.login.is_empty() {
        lines.push(format!("login        {}", safe(&client.login)));
    }
    for kept in &entry.recipients {
        let why = format!("{} ({}): {}", kept.rule, kept.place, kept.reason);
        lines.push(format!("{}\n             {}", safe(&kept.rcpt.to_string()), safe(&why)));
    }
    lines.push(String::new());
    let text = String::from_utf8_lossy(header);
    lines.extend(text.lines().map(|line| safe(line).to_string()));
    lines.join("\n")
}

// === release ===

/// Sends the message on, as its client would have, and removes it when the upstream has taken it.
fn release(settings: &Settings, store: &Quarantine, id: &Id) -> anyhow::Result<String> {
    let claim = store.claim(id)?;
    let entry = claim.entry.clone().map_err(|error| anyhow!("its description cannot be read: {error}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let told = runtime.block_on(async {
        let sending = send(settings, &entry, &claim);
        timeout(PATIENCE, sending).await.context("the upstream takes too long")?
    })?;
    claim.remove().context("the upstream has it, but it cannot be removed from the quarantine")?;
    Ok(format!("{id} is released: {}", safe(&told)))
}

async fn send(settings: &Settings, entry: &Entry, claim: &Claim) -> anyhow::Result<String> {
    let targets: HashMap<_, _> = settings.upstreams.iter().map(|target| (&*target.name, target)).collect();
    let target = *targets
        .get(&*entry.upstream)
        .with_context(|| format!("there is no upstream `{}` any more", safe(&entry.upstream)))?;
    let upstream = Upstream::new(target.clone(), Arc::new(TcpDial), UpstreamMetrics::detached());
    let mut session = upstream.session(client(entry));
    session.name_transaction(&entry.transaction);
    let recipients: Vec<_> = entry.recipients.iter().map(|kept| kept.rcpt.clone()).collect();
    let taken = session.rearrange(&entry.mail, &recipients).await;
    taken.context("the upstream does not take its recipients, and got nothing")?;
    let body = Stored::of_file(claim.message().try_clone()?)?;
    let message = Outgoing { header: Bytes::new(), body };
    let receipt = session.deliver(&message).await.context("the upstream did not take it")?;
    session.quit().await;
    Ok(receipt.reply().to_string())
}

/// The client that brought it, as the upstream is told where it is told.
fn client(entry: &Entry) -> upstream::Client {
    let client = &entry.client;
    let name = match client.name.as_str() {
        "" => ClientName::Unknown,
        name => ClientName::Verified(name.to_owned()),
    };
    upstream::Client {
        ip: IpAddr::to_canonical(&client.ip),
        port: client.port,
        local: None,
        name,
        helo: client.helo.clone(),
        esmtp: client.esmtp,
        login: Some(client.login.clone()).filter(|login| !login.is_empty()),
    }
}
