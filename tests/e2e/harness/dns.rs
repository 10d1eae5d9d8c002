//! The DNS of a test: whatever its zone says, and nothing else exists.

use gatepost::dns::responder::{Data, Fault, Responder, Zone};
use tokio::runtime::Runtime;

/// A DNS server with a zone of its own.
#[derive(Debug)]
pub(crate) struct Dns {
    responder: Responder,
    /// Where the responder runs; it ends with this.
    _runtime: Runtime,
}

impl Dns {
    /// A server that answers from these records: `NAME TYPE DATA`, one a line. The types `SERVFAIL` and `DROP`, with `-` for
    /// data, make it fail for that name.
    pub(crate) fn with(records: &str) -> Self {
        Self::serving(zone(records))
    }

    /// A server that answers from this zone.
    pub(crate) fn serving(zone: Zone) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let responder = runtime.block_on(Responder::start(zone)).unwrap();
        Self { responder, _runtime: runtime }
    }

    /// Where it listens, as the configuration writes it.
    pub(crate) fn address(&self) -> String {
        self.responder.address().to_string()
    }
}

fn zone(records: &str) -> Zone {
    let mut zone = Zone::new();
    for record in records.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let [name, kind, data] = *record.splitn(3, ' ').collect::<Vec<_>>() else {
            panic!("no record: {record}")
        };
        match kind {
            "SERVFAIL" => zone.fault(name, Fault::ServFail),
            "DROP" => zone.fault(name, Fault::Drop),
            _ => zone.add(name, Data::parse(kind, data).unwrap()),
        };
    }
    zone
}
