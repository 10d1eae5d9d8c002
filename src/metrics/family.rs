//! The pieces that metrics are made of: handles, families and the one act that declares a family.
//!
//! [`families!`](super::families) names, documents and registers a family in one line. A family hands out handles for
//! given label values; the number of values is part of its type. A handle of a family that nobody registered counts for
//! nobody, so that rooms can be tested without a registry.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// Time spent in scripts: 10 us to 1 s.
pub(super) const SCRIPT_SECONDS: &[f64] =
    &[1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 1.0];
/// Waiting for the network: 1 ms to 5 min, the longest that RFC 5321 4.5.3.2 lets a client wait for most replies.
pub(super) const NETWORK_SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 300.0];
/// Whole sessions: 10 ms to one hour.
pub(super) const SESSION_SECONDS: &[f64] =
    &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 3600.0];
/// Messages: 1 KiB to 64 MiB.
pub(super) const MESSAGE_BYTES: &[f64] =
    &[1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0];
/// Recipients of one message.
pub(super) const RECIPIENTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

/// Something that only grows.
#[derive(Clone, Debug, Default)]
pub(super) struct Counter(Option<IntCounter>);

impl Counter {
    pub(super) fn get(&self) -> u64 {
        self.0.as_ref().map(prometheus::core::GenericCounter::get).unwrap_or_default()
    }

    pub(super) fn inc(&self) {
        if let Some(counter) = &self.0 {
            counter.inc();
        }
    }

    pub(super) fn add(&self, number: u64) {
        if let Some(counter) = &self.0 {
            counter.inc_by(number);
        }
    }
}

/// Something that has a level.
#[derive(Clone, Debug, Default)]
pub(super) struct Gauge(Option<IntGauge>);

impl Gauge {
    pub(super) fn get(&self) -> i64 {
        self.0.as_ref().map(prometheus::core::GenericGauge::get).unwrap_or_default()
    }

    pub(super) fn set(&self, level: i64) {
        if let Some(gauge) = &self.0 {
            gauge.set(level);
        }
    }

    /// Sets a level that was counted without a sign, saturating.
    pub(super) fn set_count(&self, count: u64) {
        self.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(super) fn inc(&self) {
        if let Some(gauge) = &self.0 {
            gauge.inc();
        }
    }

    pub(super) fn dec(&self) {
        if let Some(gauge) = &self.0 {
            gauge.dec();
        }
    }
}

/// Something whose distribution matters.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram(Option<prometheus::Histogram>);

impl Histogram {
    pub(super) fn observe(&self, duration: Duration) {
        self.observe_value(duration.as_secs_f64());
    }

    pub(super) fn observe_value(&self, value: f64) {
        if let Some(histogram) = &self.0 {
            histogram.observe(value);
        }
    }
}

/// A metric family as it was declared, for pages and for whoever holds dashboards to what there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Description {
    /// The name without the prefix `gatepost_`.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its labels, in the order of their values.
    pub labels: &'static [&'static str],
    /// The upper bounds of a histogram's buckets.
    pub buckets: &'static [f64],
    /// What it says, as a sentence.
    pub help: &'static str,
}

/// A kind of handle, and how its family is built.
pub(super) trait Instrument: Default {
    /// The kind's name in the exposition.
    const KIND: &'static str;

    /// All handles of one name.
    type Vector: Collector + Clone + 'static;

    /// A family; `buckets` are for histograms.
    fn vector(opts: Opts, labels: &[&str], buckets: &[f64]) -> prometheus::Result<Self::Vector>;

    /// The handle for these label values.
    fn handle(vector: &Self::Vector, values: &[&str]) -> prometheus::Result<Self>;
}

impl Instrument for Counter {
    const KIND: &'static str = "counter";

    type Vector = IntCounterVec;

    fn vector(opts: Opts, labels: &[&str], _: &[f64]) -> prometheus::Result<Self::Vector> {
        IntCounterVec::new(opts, labels)
    }

    fn handle(vector: &Self::Vector, values: &[&str]) -> prometheus::Result<Self> {
        vector.get_metric_with_label_values(values).map(|counter| Self(Some(counter)))
    }
}

impl Instrument for Gauge {
    const KIND: &'static str = "gauge";

    type Vector = IntGaugeVec;

    fn vector(opts: Opts, labels: &[&str], _: &[f64]) -> prometheus::Result<Self::Vector> {
        IntGaugeVec::new(opts, labels)
    }

    fn handle(vector: &Self::Vector, values: &[&str]) -> prometheus::Result<Self> {
        vector.get_metric_with_label_values(values).map(|gauge| Self(Some(gauge)))
    }
}

impl Instrument for Histogram {
    const KIND: &'static str = "histogram";

    type Vector = HistogramVec;

    fn vector(opts: Opts, labels: &[&str], buckets: &[f64]) -> prometheus::Result<Self::Vector> {
        HistogramVec::new(HistogramOpts { common_opts: opts, buckets: buckets.to_vec() }, labels)
    }

    fn handle(vector: &Self::Vector, values: &[&str]) -> prometheus::Result<Self> {
        vector.get_metric_with_label_values(values).map(|histogram| Self(Some(histogram)))
    }
}

/// All series of one name, told apart by `N` labels.
#[derive(Clone, Debug)]
pub(super) struct Family<M: Instrument, const N: usize> {
    vector: Option<M::Vector>,
}

impl<M: Instrument, const N: usize> Family<M, N> {
    /// Declares the family and registers it.
    ///
    /// Names, labels and help are literals of this crate, so it fails for a mistake of ours only: that family is then
    /// missing from the exposition, the log says so, and mail goes on.
    pub(super) fn register(
        registry: &Registry,
        name: &str,
        help: &str,
        labels: [&str; N],
        buckets: &[f64],
    ) -> Self {
        let vector = M::vector(Opts::new(name, help), &labels, buckets)
            .and_then(|vector| registry.register(Box::new(vector.clone())).map(|()| vector))
            .inspect_err(|error| tracing::error!(metric = name, %error, "metric cannot be registered"))
            .ok();
        Self { vector }
    }

    /// A family whose handles count for nobody.
    pub(super) const fn detached() -> Self {
        Self { vector: None }
    }

    /// The handle for these label values; its series exists from now on.
    pub(super) fn with(&self, values: [&str; N]) -> M {
        self.vector.as_ref().and_then(|vector| M::handle(vector, &values).ok()).unwrap_or_default()
    }
}

impl<const N: usize> Family<Gauge, N> {
    /// Forgets all series, for a family whose labels carry the news.
    pub(super) fn clear(&self) {
        if let Some(vector) = &self.vector {
            vector.reset();
        }
    }

    /// Forgets one series, of something that is no more.
    pub(super) fn forget(&self, values: [&str; N]) {
        if let Some(vector) = &self.vector {
            // It may never have been there.
            let _ = vector.remove_label_values(&values);
        }
    }
}

/// Handles of a family that were resolved ahead, by a closed set of words.
///
/// The sets are small and the words are mostly the same literals, so that a look through beats a hash.
#[derive(Clone, Debug)]
pub(super) struct Resolved<K, M>(Vec<(K, M)>);

impl<K: Copy + PartialEq, M> Resolved<K, M> {
    /// Resolves a handle for each word.
    pub(super) fn new(words: impl IntoIterator<Item = K>, resolve: impl Fn(K) -> M) -> Self {
        Self(words.into_iter().map(|word| (word, resolve(word))).collect())
    }

    /// The handle for this word, if it was resolved ahead.
    pub(super) fn find(&self, word: K) -> Option<&M> {
        self.0.iter().find(|(known, _)| *known == word).map(|(_, handle)| handle)
    }
}

/// Declares metric families: name, kind, labels, buckets of a histogram, help.
///
/// Makes a struct with one [`Family`] for each, `register`, which makes them all known to a registry, `detached`, and
/// `DESCRIPTIONS`.
/// The field is the metric's name (without the prefix) and its labels are in the order of the values.
macro_rules! families {
    (@buckets) => { &[] };
    (@buckets $buckets:ident) => { $buckets };
    ($(#[$doc:meta])* $set:ident {
        $($name:ident: $kind:ident [$($label:ident),*] $(in $buckets:ident)?, $help:literal;)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub(super) struct $set {
            $(#[doc = $help] pub(super) $name: Family<$kind, { <[&str]>::len(&[$(stringify!($label)),*]) }>,)+
        }

        impl $set {
            /// What was declared.
            pub(super) const DESCRIPTIONS: &[Description] = &[$(Description {
                name: stringify!($name),
                kind: <$kind as Instrument>::KIND,
                labels: &[$(stringify!($label)),*],
                buckets: families!(@buckets $($buckets)?),
                help: $help,
            }),+];

            /// Registers every family.
            pub(super) fn register(registry: &Registry) -> Self {
                Self {
                    $($name: Family::register(
                        registry,
                        stringify!($name),
                        $help,
                        [$(stringify!($label)),*],
                        families!(@buckets $($buckets)?),
                    ),)+
                }
            }

            /// Families that nobody scrapes.
            pub(super) const fn detached() -> Self {
                Self { $($name: Family::detached(),)+ }
            }
        }
    };
}
pub(super) use families;

/// Declares an enum whose variants are the values of a label.
macro_rules! words {
    ($(#[$doc:meta])* $set:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum $set { $($(#[$variant_doc])* $variant,)+ }

        impl $set {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The value of the label.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}
pub(super) use words;
