//! The command `testbed`: keeps a cluster running in the background, ends it, measures on one.

mod background;

use anyhow::Result;
use clap::{Parser, Subcommand};
use testbed::{load::Load, measure::Figures};

/// A real Kubernetes control plane with metrics-server, in network namespaces of its own.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a cluster and keep it running
    Up,
    /// End the cluster that `up` started
    Down,
    /// Put many objects on the running cluster
    Load {
        /// Nodes in all
        #[arg(long, default_value_t = 500)]
        nodes: usize,
        /// Pods, spread over the autoscalers' Deployments
        #[arg(long, default_value_t = 4000)]
        pods: usize,
        /// Autoscalers, each with a Deployment
        #[arg(long, default_value_t = 300)]
        autoscalers: usize,
    },
    /// Measure what the doctor costs on a large cluster of its own
    Measure {
        /// The program to measure
        #[arg(long, default_value = "target/release/metrics-server-doctor")]
        doctor: std::path::PathBuf,
        /// Nodes in all
        #[arg(long, default_value_t = 500)]
        nodes: usize,
        /// Pods, spread over the autoscalers' Deployments
        #[arg(long, default_value_t = 4000)]
        pods: usize,
        /// Autoscalers, each with a Deployment
        #[arg(long, default_value_t = 300)]
        autoscalers: usize,
    },
    /// The cluster itself; what `up` runs
    #[command(hide = true)]
    Run,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Up => background::up(),
        Command::Down => background::down(),
        Command::Load { nodes, pods, autoscalers } => background::load(Load { nodes, pods, autoscalers }),
        Command::Measure { doctor, nodes, pods, autoscalers } => {
            testbed::isolation::enter()?;
            let figures = testbed::measure::measure(&Load { nodes, pods, autoscalers }, &doctor)?;
            print(&figures);
            Ok(())
        }
        Command::Run => background::run(),
    }
}

fn print(figures: &Figures) {
    let milliseconds = |percent| figures.quantile(percent).as_secs_f64() * 1000.0;
    println!("resident memory  {} KiB, at most {} KiB", figures.resident / 1024, figures.peak / 1024);
    println!("processor        {:.1} thousandths of one", figures.processor * 1000.0);
    println!("page             {} bytes", figures.page);
    println!(
        "scrape           p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, max {:.2} ms of {}",
        milliseconds(50),
        milliseconds(90),
        milliseconds(99),
        milliseconds(100),
        figures.scrapes.len()
    );
    println!("verdict          {}", figures.verdict);
    println!("without metrics-server, every autoscaler blind:");
    println!("resident memory  at most {} KiB", figures.peak_when_blind / 1024);
    println!("processor        {:.1} thousandths of one", figures.processor_when_blind * 1000.0);
    println!("verdict          {}", figures.verdict_when_blind);
}
