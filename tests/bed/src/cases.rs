//! The `main` of a test program whose cases share beds: it runs the beds side by side, and a case that fails leaves those
//! after it a fresh one.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    Bed, isolation,
    side_by_side::{each, end_with_the_caller, parallel, run_again, told},
};

/// A bed that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_mins(10);

/// What a group of cases shares.
pub trait Stage {
    /// What a person looks at first when a case has failed.
    fn last_words(&self) -> String {
        String::new()
    }
}

impl Stage for Bed {}

/// A name, and what is done and looked at; it panics where something is not as it should be.
pub type Case<S> = (&'static str, fn(&S));

/// Cases that share one cluster, in this order.
pub struct Group<S: 'static> {
    /// Also the argument that tries this group only.
    pub name: &'static str,
    /// Starts what they share, in namespaces of its own.
    pub start: fn() -> Result<S>,
    /// The cases.
    pub cases: &'static [Case<S>],
}

/// A test program.
pub struct Program<S: 'static> {
    /// What runs side by side, the longest first.
    pub groups: &'static [Group<S>],
    /// How often a case may be tried, each time on a fresh cluster; that it was tried again is told.
    pub tries: usize,
    /// Where logs are kept.
    pub logs: &'static str,
}

struct Tried {
    case: &'static str,
    seconds: f64,
    times: usize,
    error: Option<String>,
}

impl<S: Stage> Program<S> {
    /// Tries every case, or those with one of the arguments in their name or their group's.
    pub fn main(&self) -> ExitCode {
        let arguments: Vec<String> = env::args().skip(1).collect();
        match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["--group", name, "--cases", numbers] => self.inside(name, numbers),
            words if words.contains(&"--list") => {
                for (name, _) in self.groups.iter().flat_map(|group| group.cases) {
                    println!("{name}: test");
                }
                ExitCode::SUCCESS
            }
            words => {
                let words: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with('-')).collect();
                self.all(&words)
            }
        }
    }

    fn all(&self, words: &[&str]) -> ExitCode {
        let begin = Instant::now();
        let wanted = |group: &Group<S>, name: &str| {
            words.is_empty() || words.iter().any(|word| name.contains(word) || group.name == *word)
        };
        let numbers = |group: &Group<S>| -> Vec<usize> {
            let cases = group.cases.iter().enumerate();
            cases.filter(|(_, (name, _))| wanted(group, name)).map(|(number, _)| number).collect()
        };
        let jobs: Vec<_> = self.groups.iter().map(|group| (group, numbers(group))).collect();
        let jobs: Vec<_> = jobs.into_iter().filter(|(_, numbers)| !numbers.is_empty()).collect();
        let count: usize = jobs.iter().map(|(_, numbers)| numbers.len()).sum();
        println!("{count} cases on {} clusters, {} side by side", jobs.len(), parallel().min(jobs.len()));
        let tried: Vec<Tried> =
            each(jobs, parallel(), |(group, numbers)| self.run(group, numbers)).into_iter().flatten().collect();
        println!("\n{:<72} {:>8}  outcome", "case", "seconds");
        for one in &tried {
            let outcome = match (&one.error, one.times) {
                (None, 1) => "ok".to_owned(),
                (None, times) => format!("ok at try {times}, on a fresh cluster"),
                (Some(_), times) => format!("FAILED {times} times"),
            };
            println!("{:<72} {:>8.1}  {outcome}", one.case, one.seconds);
        }
        for one in &tried {
            if let Some(error) = &one.error {
                println!("\nFAILED {}: {error}", one.case);
            }
        }
        let well = tried.iter().filter(|one| one.error.is_none()).count();
        println!("{well} of {count} cases ok in {} s", begin.elapsed().as_secs());
        if well == count && count > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Tries cases of a group in processes of their own until none is left.
    fn run(&self, group: &Group<S>, mut left: Vec<usize>) -> Vec<Tried> {
        let mut all: Vec<Tried> = Vec::new();
        while let Some(first) = left.first().copied() {
            let numbers: Vec<String> = left.iter().map(usize::to_string).collect();
            let log = Path::new(self.logs).join(format!("{}.log", group.name.replace(' ', "-")));
            let (mut under_way, mut done, mut error) = (first, Vec::new(), String::new());
            let arguments = ["--group", group.name, "--cases", &numbers.join(",")];
            let ended =
                run_again(&arguments, &log, SILENCE, |line| match line.split('\t').collect::<Vec<_>>().as_slice() {
                    ["begin", number] => under_way = number.parse().unwrap_or(first),
                    ["end", seconds, outcome] => {
                        let (name, _) = group.cases[under_way];
                        println!("{}: test {name} ... {outcome} ({seconds} s)", group.name);
                        let seconds = seconds.parse().unwrap_or_default();
                        done.push((under_way, seconds, (*outcome != "ok").then(|| std::mem::take(&mut error))));
                    }
                    ["error", text] => {
                        error.push_str(text);
                        error.push('\n');
                    }
                    _ => println!("{}: {line}", group.name),
                });
            if let Err(error) = ended {
                done.push((under_way, 0.0, Some(format!("{error:#}"))));
            }
            if done.is_empty() {
                done.push((first, 0.0, Some("it was not tried".to_owned())));
            }
            for (number, seconds, error) in done {
                let (case, _) = group.cases[number];
                left.retain(|other| *other != number);
                let before = all.iter().position(|one| one.case == case).map(|place| all.remove(place));
                let times = before.map_or(1, |one| one.times + 1);
                if error.is_some() && times < self.tries {
                    println!("{}: {case} failed and is tried again on a fresh cluster", group.name);
                    println!("{}", error.as_deref().unwrap_or_default());
                    left.push(number);
                }
                all.push(Tried { case, seconds, times, error });
            }
        }
        all
    }

    /// The process of one group: enters its namespaces, starts what the cases share, and ends with the first that fails.
    fn inside(&self, name: &str, numbers: &str) -> ExitCode {
        let Some(group) = self.groups.iter().find(|group| group.name == name) else {
            eprintln!("no group {name}");
            return ExitCode::FAILURE;
        };
        if let Err(error) = isolation::enter() {
            eprintln!("no test on a real control plane is possible here: {error:#}");
            return ExitCode::FAILURE;
        }
        end_with_the_caller();
        let begin = Instant::now();
        let stage = match (group.start)() {
            Ok(stage) => stage,
            Err(error) => {
                eprintln!("the cluster or what watches it does not start: {error:#}");
                return ExitCode::FAILURE;
            }
        };
        println!("the cluster works after {} s", begin.elapsed().as_secs());
        for number in numbers.split(',').filter_map(|number| number.parse::<usize>().ok()) {
            let Some((_, case)) = group.cases.get(number) else { continue };
            println!("begin\t{number}");
            let begin = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| case(&stage)));
            let seconds = begin.elapsed().as_secs_f64();
            let Err(panic) = outcome else {
                println!("end\t{seconds:.1}\tok");
                continue;
            };
            for line in told(&*panic).lines().chain(stage.last_words().lines()) {
                println!("error\t{}", line.replace('\t', " "));
            }
            println!("end\t{seconds:.1}\tFAILED");
            return ExitCode::SUCCESS;
        }
        ExitCode::SUCCESS
    }
}
