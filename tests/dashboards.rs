//! The dashboards are written in `tests/dashboards/` and generated into `dashboards/`:
//! `UPDATE_DOCS=1 cargo test --test dashboards` rewrites them, and without it the test tells which is out of date.

#[path = "dashboards/autoscalers.rs"]
mod autoscalers;
#[path = "dashboards/detail.rs"]
mod detail;
#[path = "dashboards/fleet.rs"]
mod fleet;
#[path = "dashboards/lint.rs"]
mod lint;
#[path = "dashboards/model.rs"]
mod model;
#[path = "dashboards/overview.rs"]
mod overview;
#[path = "dashboards/palette.rs"]
mod palette;

use std::{fs, path::PathBuf};

use model::Dashboard;

/// Where links to runbooks begin as long as nobody names another place.
const RUNBOOK_ADDRESS: &str = "docs/runbooks";

fn all() -> [Dashboard; 4] {
    [overview::dashboard(), detail::dashboard(), autoscalers::dashboard(), fleet::dashboard()]
}

fn file(dashboard: &Dashboard) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("dashboards/{}.json", dashboard.uid))
}

#[test]
fn the_committed_dashboards_are_those_that_are_written_here() {
    let mut stale = Vec::new();
    for dashboard in all() {
        let path = file(&dashboard);
        let wanted = serde_json::to_string_pretty(&dashboard.to_json()).expect("JSON") + "\n";
        if fs::read_to_string(&path).is_ok_and(|text| text == wanted) {
            continue;
        }
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, wanted).expect("a writable file");
        } else {
            stale.push(path.display().to_string());
        }
    }
    assert!(stale.is_empty(), "out of date, run `UPDATE_DOCS=1 cargo test --test dashboards`: {}", stale.join(", "));
}
