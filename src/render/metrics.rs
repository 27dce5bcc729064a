//! The page of `/metrics`.
//!
//! One module a step, in the guide's order, declares the step's families and fills them; [`doctor`] holds what sums up
//! over all steps. A family that could not be read has no series: absent, never 0.

pub mod apiservice;
pub mod connection_refused;
pub mod doctor;
pub mod forbidden;
pub mod hpa;
pub mod installed;
pub mod known_issues;
pub mod logs;
pub mod other_reasons;
pub mod retrieve;
pub mod timeout;

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Mutex};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use super::View;
use crate::guide::Step;

/// Gauge or counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up; `_total` is added to its name.
    Counter,
}

/// One family of the page. Its labels are always complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// The name, for a counter without `_total`.
    pub name: &'static str,
    /// Which object and field it is read from, and its unit.
    pub help: &'static str,
    /// Gauge or counter.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// Where it has no series; empty for a family that has one always.
    pub absent_where: &'static str,
    /// How many series it has at the most for each combination of values of [`Self::each`].
    pub series: usize,
    /// Those of its labels whose values tell objects apart; the others are closed sets.
    pub each: &'static [&'static str],
}

impl Family {
    const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, help, kind: Kind::Gauge, labels, absent_where: "", series: 0, each: &[] }
    }

    const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { kind: Kind::Counter, ..Self::gauge(name, labels, help) }
    }

    const fn absent_where(self, absent_where: &'static str) -> Self {
        Self { absent_where, ..self }
    }

    const fn series(self, series: usize, each: &'static [&'static str]) -> Self {
        Self { series, each, ..self }
    }

    /// The name on the page, with `_total` for a counter.
    pub fn full_name(&self) -> Cow<'static, str> {
        match self.kind {
            Kind::Gauge => Cow::Borrowed(self.name),
            Kind::Counter => Cow::Owned(format!("{}_total", self.name)),
        }
    }
}

/// The families by the step of the guide that they belong to, in the order of the page; those without a step are of the
/// doctor itself and of all steps together.
pub const SECTIONS: [(Option<Step>, &[Family]); 11] = [
    (None, doctor::FAMILIES),
    (Some(Step::Installed), installed::FAMILIES),
    (Some(Step::Retrieve), retrieve::FAMILIES),
    (Some(Step::Forbidden), forbidden::FAMILIES),
    (Some(Step::Apiservice), apiservice::FAMILIES),
    (Some(Step::Timeout), timeout::FAMILIES),
    (Some(Step::ConnectionRefused), connection_refused::FAMILIES),
    (Some(Step::OtherReasons), other_reasons::FAMILIES),
    (Some(Step::Logs), logs::FAMILIES),
    (Some(Step::KnownIssues), known_issues::FAMILIES),
    (Some(Step::Hpa), hpa::FAMILIES),
];

/// Every family, in the order of the page.
pub fn families() -> impl Iterator<Item = &'static Family> {
    SECTIONS.iter().flat_map(|(_, families)| *families)
}

/// The values of one series' labels.
type LabelValues = Vec<Cow<'static, str>>;

/// The series of the page, each once.
#[derive(Debug, Default, PartialEq)]
pub struct Page {
    series: BTreeMap<&'static str, BTreeMap<LabelValues, f64>>,
}

impl Page {
    /// The page of a view.
    pub fn of(view: &View<'_>) -> Self {
        let mut page = Self::default();
        doctor::write(view, &mut page);
        installed::write(view, &mut page);
        retrieve::write(view, &mut page);
        forbidden::write(view, &mut page);
        apiservice::write(view, &mut page);
        timeout::write(view, &mut page);
        connection_refused::write(view, &mut page);
        other_reasons::write(view, &mut page);
        logs::write(view, &mut page);
        known_issues::write(view, &mut page);
        hpa::write(view, &mut page);
        page
    }

    /// Sets a series. A second value for the same labels replaces the first, so that no series stands on the page twice.
    fn set<L: Into<Cow<'static, str>>>(
        &mut self,
        family: &Family,
        labels: impl IntoIterator<Item = L>,
        value: impl Value,
    ) {
        let labels: LabelValues = labels.into_iter().map(Into::into).collect();
        debug_assert_eq!(labels.len(), family.labels.len(), "labels of {}", family.name);
        self.series.entry(family.name).or_default().insert(labels, value.number());
    }

    /// Sets a family without labels.
    fn set_single(&mut self, family: &Family, value: impl Value) {
        self.set(family, std::iter::empty::<&'static str>(), value);
    }

    /// Sets a family whose last label is a closed set: 1 for the member that holds, 0 for the others.
    fn set_one_of(
        &mut self,
        family: &Family,
        labels: &[&str],
        all: impl IntoIterator<Item = &'static str>,
        holds: &'static str,
    ) {
        for member in all {
            let labels = labels.iter().map(|label| Cow::Owned((*label).to_owned())).chain([Cow::Borrowed(member)]);
            self.set(family, labels, member == holds);
        }
    }

    /// The value of one series.
    pub fn get(&self, family: &str, labels: &[&str]) -> Option<f64> {
        let labels: LabelValues = labels.iter().map(|label| Cow::Owned((*label).to_owned())).collect();
        self.series.get(family)?.get(&labels).copied()
    }

    /// How many series a family has.
    pub fn len_of(&self, family: &str) -> usize {
        self.series.get(family).map_or(0, BTreeMap::len)
    }

    /// The page in the `OpenMetrics` text format.
    ///
    /// # Errors
    ///
    /// Never in practice: writing into a text does not fail.
    pub fn to_open_metrics(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Collected(Mutex::new(self))));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

/// Hands a page over to prometheus-client. Its trait asks for `Sync`, which a map is anyway; the lock makes no copy.
#[derive(Debug)]
struct Collected(Mutex<Page>);

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let page = self.0.lock().map_err(|_| fmt::Error)?;
        for family in families() {
            let kind = match family.kind {
                Kind::Gauge => MetricType::Gauge,
                Kind::Counter => MetricType::Counter,
            };
            let mut metric = encoder.encode_descriptor(family.name, family.help, None, kind)?;
            for (values, number) in page.series.get(family.name).into_iter().flatten() {
                if family.labels.is_empty() {
                    encode(family.kind, *number, metric)?;
                    break;
                }
                let labels: Vec<(&str, &str)> =
                    family.labels.iter().copied().zip(values.iter().map(AsRef::as_ref)).collect();
                encode(family.kind, *number, metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn encode(kind: Kind, number: f64, encoder: prometheus_client::encoding::MetricEncoder<'_>) -> fmt::Result {
    match kind {
        Kind::Gauge => ConstGauge::new(number).encode(encoder),
        Kind::Counter => ConstCounter::new(number).encode(encoder),
    }
}

/// Turns `OpenMetrics` text into the classic format (0.0.4), for clients that do not ask for `OpenMetrics`: counters carry
/// `_total` in HELP and TYPE too, and there is no end mark.
pub fn to_classic(open_metrics: &str) -> String {
    let mut classic = String::with_capacity(open_metrics.len());
    let counters: Vec<&str> =
        families().filter(|family| family.kind == Kind::Counter).map(|family| family.name).collect();
    for line in open_metrics.lines().filter(|line| *line != "# EOF") {
        let head = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        match head.and_then(|head| head.split_once(' ')) {
            Some((name, rest)) if counters.contains(&name) => {
                let mark = &line[..7];
                classic.push_str(mark);
                classic.push_str(name);
                classic.push_str("_total ");
                classic.push_str(rest);
            }
            _ => classic.push_str(line),
        }
        classic.push('\n');
    }
    classic
}

/// What may stand as a value.
trait Value {
    fn number(self) -> f64;
}

impl Value for f64 {
    fn number(self) -> f64 {
        self
    }
}

impl Value for bool {
    fn number(self) -> f64 {
        f64::from(u8::from(self))
    }
}

impl Value for i32 {
    fn number(self) -> f64 {
        f64::from(self)
    }
}

impl Value for u32 {
    fn number(self) -> f64 {
        f64::from(self)
    }
}

impl Value for u16 {
    fn number(self) -> f64 {
        f64::from(self)
    }
}

impl Value for usize {
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
    fn number(self) -> f64 {
        self as f64
    }
}

impl Value for u64 {
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
    fn number(self) -> f64 {
        self as f64
    }
}

impl Value for jiff::Timestamp {
    #[expect(clippy::cast_precision_loss, reason = "seconds are exact up to 2^53")]
    fn number(self) -> f64 {
        self.as_second() as f64
    }
}

#[cfg(test)]
mod tests;
