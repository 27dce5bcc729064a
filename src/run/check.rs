//! `check`: one look, one report.

use std::{
    io::{self, IsTerminal, Write},
    pin::pin,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior};

use super::{Failure, serve::connect_within, terminal};
use crate::{
    args::{Autoscaler, Check, Output},
    facts::Facts,
    observe::{
        bundle,
        cluster::{Clients, Options, observe, observe_once},
    },
    render::{
        junit::junit,
        markdown::markdown,
        text::{Manner, brief, closeup, text},
        visible::{visible, visible_json},
    },
    report::{Gate, Passage, Report},
    snapshot::{Named, NotSeen, Snapshot},
};

/// How often the progress is written.
const TICK: Duration = Duration::from_millis(200);

pub(super) async fn check(arguments: Check) -> Result<ExitCode, Failure> {
    let gate = arguments.gate();
    if arguments.hpa.is_some() && arguments.output != Output::Text {
        return Err(Failure::HpaIsText);
    }
    let snapshot = look(&arguments, &gate).await?;
    let Check { output, runbooks, verbose, color, hpa, .. } = arguments;
    let links = runbooks.links();
    let report = Report::new(&snapshot);
    let manner = Manner { terminal: terminal::of_stdout(color), verbose };
    if let Some(wanted) = &hpa {
        let facts = Facts::new(&snapshot);
        let autoscaler = find(&facts, wanted)?;
        write(&closeup(&facts, autoscaler, &report, &links, manner.terminal))?;
        return Ok(exit_code(passage_of(autoscaler)));
    }
    write(&match output {
        Output::Text => text(&report, &links, manner),
        Output::Brief => brief(&report, &links, manner.terminal),
        Output::Json => {
            let json = report.to_json(&links);
            let json = serde_json::to_string_pretty(&json).map_err(|error| Failure::Defect(error.to_string()))?;
            format!("{}\n", visible_json(&json))
        }
        Output::Markdown => markdown(&report, &links),
        Output::Junit => junit(&report, &links, &gate),
    })?;
    Ok(exit_code(gate.weigh(&report)))
}

fn exit_code(passage: Passage) -> ExitCode {
    ExitCode::from(match passage {
        Passage::Open => 0,
        Passage::Fault => 1,
        Passage::Unknown => 2,
    })
}

fn write(shown: &str) -> Result<(), Failure> {
    // A reader that has seen enough (`| head`) is no failure.
    match io::stdout().lock().write_all(shown.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Defect(error.to_string())),
        _ => Ok(()),
    }
}

/// What there is to see: in a bundle, at once in a cluster, or once the cluster is well.
async fn look(arguments: &Check, gate: &Gate) -> Result<Arc<Snapshot>, Failure> {
    let Check { source, timeout, hpa, wait_healthy, .. } = arguments;
    if let Some(path) = &source.from {
        return Ok(Arc::new(bundle::read_up_to(path, source.largest_file())?));
    }
    let clients = connect_within(source, *timeout).await?;
    let mut probe_namespaces = source.probe_namespaces.clone();
    probe_namespaces.extend(hpa.iter().map(|wanted| wanted.namespace.clone()));
    let options = Options { features: source.features(clients.in_cluster), probe_namespaces, ..Options::default() };
    let looking = async {
        match wait_healthy {
            Some(longest) => wait(clients, options, *longest, hpa.as_ref(), gate).await,
            None => observe_once(clients, options, *timeout).await,
        }
    };
    let words = if wait_healthy.is_some() { "Waiting until nothing is wrong" } else { "Looking at the cluster" };
    let (snapshot, trouble) = with_progress(words, wait_healthy.unwrap_or(*timeout), looking).await?;
    if let Some(trouble) = trouble {
        // The report says so too; that nobody reads stderr is no reason to say nothing there.
        let trouble = visible(&trouble);
        let _ = writeln!(io::stderr(), "metrics-server-doctor: the API server does not answer: {trouble}");
    }
    Ok(snapshot)
}

/// Looks again and again until nothing counts against the cluster any more, or until the time is over.
async fn wait(
    clients: Clients,
    options: Options,
    longest: Duration,
    hpa: Option<&Autoscaler>,
    gate: &Gate,
) -> (Arc<Snapshot>, Option<String>) {
    let deadline = Instant::now() + longest;
    let mut observation = observe(clients, options);
    loop {
        let changed = tokio::time::timeout_at(deadline, observation.health.changed()).await;
        let health = Arc::clone(&observation.health.borrow_and_update());
        let snapshot = Arc::clone(&observation.snapshots.borrow_and_update());
        if !matches!(changed, Ok(Ok(()))) {
            return (snapshot, health.trouble_of_all());
        }
        if health.first_complete_look && weigh(&snapshot, hpa, gate) == Passage::Open {
            return (snapshot, None);
        }
    }
}

fn weigh(snapshot: &Snapshot, hpa: Option<&Autoscaler>, gate: &Gate) -> Passage {
    match hpa {
        None => gate.weigh(&Report::new(snapshot)),
        Some(wanted) => {
            let facts = Facts::new(snapshot);
            find(&facts, wanted).map_or(Passage::Unknown, passage_of)
        }
    }
}

type OneAutoscaler<'f> = crate::facts::autoscalers::Autoscaler<'f>;

fn passage_of(autoscaler: &OneAutoscaler<'_>) -> Passage {
    use crate::facts::autoscalers::Sight;
    match autoscaler.sight {
        Sight::Sees | Sight::ScaledToZero | Sight::OutsideLimits => Passage::Open,
        Sight::Starting { .. } | Sight::Untold => Passage::Unknown,
        Sight::Blind(_) => Passage::Fault,
    }
}

/// The autoscaler of that name, or what comes nearest to it.
fn find<'f, 's>(facts: &'f Facts<'s>, wanted: &Autoscaler) -> Result<&'f OneAutoscaler<'s>, Failure> {
    facts.reachable().map_err(|reason| Failure::NoAutoscalers { wanted: wanted.to_string(), reason })?;
    let autoscalers = facts.autoscalers();
    let is_it = |known: &&OneAutoscaler<'s>| {
        (known.object.namespace(), known.object.name()) == (wanted.namespace.as_str(), wanted.name.as_str())
    };
    if let Some(found) = autoscalers.all.iter().find(is_it) {
        return Ok(found);
    }
    let wanted = wanted.to_string();
    match &autoscalers.gap {
        Some(reason) if !matches!(reason, NotSeen::NotInBundle(_)) || autoscalers.all.is_empty() => {
            Err(Failure::NoAutoscalers { wanted, reason: reason.clone() })
        }
        _ => {
            let names =
                autoscalers.all.iter().map(|known| format!("{}/{}", known.object.namespace(), known.object.name()));
            Err(Failure::NoSuchAutoscaler { nearest: nearest(&wanted, names), wanted })
        }
    }
}

/// What somebody most likely meant.
pub(super) fn nearest(wanted: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let alike = known.map(|name| (strsim::normalized_damerau_levenshtein(wanted, &name), name));
    alike
        .max_by(|(one, first), (other, second)| one.total_cmp(other).then_with(|| second.cmp(first)))
        .map(|(_, name)| name)
}

/// Shows on a terminal how long it has taken so far, and ends at Ctrl-C without a trace on the screen.
async fn with_progress<T>(words: &str, longest: Duration, work: impl Future<Output = T>) -> Result<T, Failure> {
    if !io::stderr().is_terminal() {
        return Ok(work.await);
    }
    let clear = || {
        // Whoever has closed the terminal misses nothing.
        let _ = write!(io::stderr(), "\r\u{1b}[K");
    };
    let (mut work, mut interrupt) = (pin!(work), pin!(tokio::signal::ctrl_c()));
    let started = Instant::now();
    // What takes less than a moment needs no progress.
    let mut tick = tokio::time::interval_at(started + 2 * TICK, TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            done = work.as_mut() => {
                clear();
                return Ok(done);
            }
            _ = interrupt.as_mut() => {
                clear();
                return Err(Failure::Interrupted);
            }
            _ = tick.tick() => {
                let seconds = started.elapsed().as_secs();
                let _ = write!(io::stderr(), "\r\u{1b}[K{words}: {seconds} s of at most {} s", longest.as_secs());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_named() {
        let known = || ["shop/web", "shop/worker", "pay/web"].map(str::to_owned).into_iter();
        assert_eq!(nearest("shop/wbe", known()).as_deref(), Some("shop/web"));
        assert_eq!(nearest("pay/wep", known()).as_deref(), Some("pay/web"));
        assert_eq!(nearest("shop/web", std::iter::empty()), None);
    }
}
