//! What the doctor costs on a large cluster.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{Bed, doctor::Doctor, load::Load, page, wait::wait_for};

const SCRAPES: usize = 300;
/// As the shipped monitors have it.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(30);

/// Figures of one run.
#[derive(Debug)]
pub struct Figures {
    /// Resident memory once everything was seen and judged several times, in bytes.
    pub resident: u64,
    /// The most resident memory at any moment, in bytes.
    pub peak: u64,
    /// Share of one processor while it is watched and scraped every half a minute, and nothing is asked of it besides.
    pub processor: f64,
    /// Bytes of the page in the classic text format.
    pub page: usize,
    /// How long scrapes took, in order.
    pub scrapes: Vec<Duration>,
    /// What the page says then.
    pub verdict: String,
    /// The most resident memory, in bytes, once metrics-server is gone and every autoscaler is blind: the pods of each are read then.
    pub peak_when_blind: u64,
    /// Share of one processor in the first minute of that.
    pub processor_when_blind: f64,
    /// What the page says then.
    pub verdict_when_blind: String,
}

impl Figures {
    /// The duration below which this share of the scrapes stays.
    pub fn quantile(&self, percent: usize) -> Duration {
        let position = (self.scrapes.len() * percent).div_ceil(100).saturating_sub(1);
        self.scrapes.get(position).copied().unwrap_or_default()
    }
}

/// Starts a bed, puts the load on it, lets the doctor watch it and scrapes its page again and again.
///
/// # Errors
///
/// When the bed, the load or the doctor does not come up in time.
pub fn measure(load: &Load, doctor: &Path) -> Result<Figures> {
    ensure!(doctor.is_file(), "{} is missing: build it first", doctor.display());
    let bed = Bed::start()?;
    let begin = Instant::now();
    bed.put(load)?;
    eprintln!("testbed: {load:?} created in {} s", begin.elapsed().as_secs());
    wait_for("the pods to run", Duration::from_mins(5), || {
        let words = "get deployments -n load -o jsonpath={.items[*].status.availableReplicas}";
        let text = bed.kubectl().try_words(words)?;
        let available: usize = text.split_whitespace().filter_map(|count| count.parse::<usize>().ok()).sum();
        ensure!(available >= load.pods, "{available} of {} pods are available", load.pods);
        Ok(())
    })?;
    eprintln!("testbed: every pod runs after {} s", begin.elapsed().as_secs());
    let doctor = Doctor::start(&bed, doctor)?;
    wait_for("the autoscalers to know their targets", Duration::from_mins(5), || {
        let page = page::Page::scrape(doctor.address)?;
        let (mut all, mut unknown) = (0, 0);
        for sample in page.named("hpa_unknown_targets") {
            all += 1;
            unknown += usize::from(sample.value != 0.0);
        }
        ensure!(all >= load.autoscalers && unknown == 0, "{unknown} of {all} autoscalers do not know their targets");
        Ok(())
    })
    .with_context(|| doctor.log())?;
    eprintln!("testbed: every autoscaler knows its targets after {} s", begin.elapsed().as_secs());
    // Two rounds of the doctor's own looks.
    let processor = processor_share(&doctor)?;
    let mut scrapes = Vec::with_capacity(SCRAPES);
    let mut size = 0;
    for _ in 0..SCRAPES {
        let begin = Instant::now();
        let (status, body) = page::get(doctor.address, "/metrics")?;
        scrapes.push(begin.elapsed());
        ensure!(status == 200, "/metrics answers {status}");
        size = body.len();
        thread::sleep(Duration::from_millis(100));
    }
    scrapes.sort_unstable();
    let resident = doctor.resident_bytes().context("no resident memory")?;
    let peak = doctor.peak_bytes().context("no peak of memory")?;
    let verdict = doctor.page().verdict()?;
    bed.kubectl().try_words("scale deployment metrics-server -n kube-system --replicas=0")?;
    wait_for("every autoscaler to be blind", Duration::from_mins(5), || {
        let page = page::Page::scrape(doctor.address)?;
        let blind = page.named("hpa_unknown_targets").filter(|sample| sample.value != 0.0).count();
        ensure!(blind >= load.autoscalers, "{blind} of {} autoscalers are blind", load.autoscalers);
        Ok(())
    })?;
    let processor_when_blind = processor_share(&doctor)?;
    let peak_when_blind = doctor.peak_bytes().context("no peak of memory")?;
    let verdict_when_blind = doctor.page().verdict()?;
    Ok(Figures {
        resident,
        peak,
        processor,
        page: size,
        scrapes,
        verdict,
        peak_when_blind,
        processor_when_blind,
        verdict_when_blind,
    })
}

/// Share of one processor that the doctor takes while it is scraped as often as the shipped monitors have it, over two scrapes.
fn processor_share(doctor: &Doctor) -> Result<f64> {
    let used = || doctor.processor_time().context("no processor time");
    let (begin, before) = (Instant::now(), used()?);
    for _ in 0..2 {
        thread::sleep(SCRAPE_INTERVAL);
        page::get(doctor.address, "/metrics")?;
    }
    let more = used()?.saturating_sub(before);
    Ok(more.as_secs_f64() / begin.elapsed().as_secs_f64())
}
