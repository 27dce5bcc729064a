//! The doctor on real control planes: each fault is made, has to be named, and is healed again; what is no fault must
//! not be blamed. `docs/fault-matrix.md` is the table.
//!
//! `cargo test --test cluster [WORD…]` tries only the rows and beds whose name has one of the words in it;
//! `TESTBED_PARALLEL` says how many clusters run side by side (one more than twice the processors). `-- --table` checks the table
//! without any cluster, and `-- --night` tries what takes long too.

// A file with its own `main` has its modules beside it.
#[path = "cluster/audit.rs"]
mod audit;
#[path = "cluster/beds.rs"]
mod beds;
#[path = "cluster/cluster.rs"]
mod cluster;
#[path = "cluster/matrix.rs"]
mod matrix;
#[path = "cluster/rows.rs"]
mod rows;
#[path = "cluster/run.rs"]
mod run;
#[path = "cluster/table.rs"]
mod table;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--bed", name, "--rows", numbers] => run::inside(name, numbers),
        ["--table"] => table::check(),
        [run::NIGHT] => run::all(&[run::NIGHT]),
        words if words.contains(&"--list") => {
            for row in beds::BEDS.iter().flat_map(beds::Bed::rows) {
                println!("{}: test", row.name);
            }
            ExitCode::SUCCESS
        }
        words => {
            let words: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with('-')).collect();
            run::all(&words)
        }
    }
}
