//! Tells the program what it is built from (`--version` and `metrics_server_doctor_build_info` show it), and renders the
//! runbooks that it serves. Nothing here depends on the time or the place of the build.

use std::{env, fmt::Write as _, fs, path::Path, process::Command};

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

/// For builds that have no repository at hand, such as those of an image.
const REVISION: &str = "METRICS_SERVER_DOCTOR_BUILD_REVISION";

fn main() {
    println!("cargo::rerun-if-env-changed={REVISION}");
    println!("cargo::rerun-if-changed=build.rs");
    let given = env::var(REVISION).ok().filter(|revision| !revision.is_empty());
    let revision = given.or_else(checked_out).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=BUILD_REVISION={revision}");
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = output(Command::new(compiler).arg("--version"));
    let version = version.as_deref().and_then(|text| text.split(' ').nth(1)).unwrap_or("unknown");
    println!("cargo::rustc-env=BUILD_RUSTC={version}");
    runbooks();
}

const RUNBOOKS: &str = "docs/runbooks";

/// Writes the table of runbooks that `src/runbooks.rs` includes.
fn runbooks() {
    println!("cargo::rerun-if-changed={RUNBOOKS}");
    let folder = Path::new(&variable("CARGO_MANIFEST_DIR")).join(RUNBOOKS);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{RUNBOOKS}: {error}"));
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut table = "/// All pages, by the names of their files.\npub static PAGES: &[Runbook] = &[\n".to_owned();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "md")) {
        let id = file.file_stem().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let title = text.lines().next().unwrap_or_default().trim_start_matches('#').trim();
        // Writing into a text does not fail.
        let _ = writeln!(
            table,
            "    Runbook {{ id: {id:?}, title: {title:?}, markdown: {text:?}, html: {:?} }},",
            rendered(&id, &text)
        );
    }
    table.push_str("];\n");
    let to = Path::new(&variable("OUT_DIR")).join("runbooks.rs");
    fs::write(&to, table).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
}

/// What cargo always sets.
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A page as HTML: headings have the anchors that links name, and links lead to pages instead of files.
fn rendered(id: &str, markdown: &str) -> String {
    let mut events: Vec<Event<'_>> = Parser::new_ext(markdown, Options::ENABLE_TABLES).collect();
    for index in 0..events.len() {
        match &events[index] {
            Event::Start(Tag::Heading { .. }) => {
                let end = events[index..].iter().position(|event| matches!(event, Event::End(TagEnd::Heading(_))));
                let (named, text) = heading(&events[index..index + end.unwrap_or(0)]);
                if let Event::Start(Tag::Heading { id, .. }) = &mut events[index] {
                    *id = Some(CowStr::from(named.unwrap_or_else(|| slug(&text))));
                }
            }
            Event::Start(Tag::Link { dest_url, .. }) => {
                let to = page_of(id, dest_url);
                if let Event::Start(Tag::Link { dest_url, .. }) = &mut events[index] {
                    *dest_url = to.into();
                }
            }
            _ => {}
        }
    }
    // The heading carries the anchor itself; other markup and comments serve the source alone.
    let shown = events.into_iter().filter(|event| !matches!(event, Event::InlineHtml(_) | Event::Html(_)));
    let mut page = String::new();
    html::push_html(&mut page, shown);
    page
}

/// The anchor that a heading is given in markup, and its text.
fn heading(events: &[Event<'_>]) -> (Option<String>, String) {
    let (mut named, mut text) = (None, String::new());
    for event in events {
        match event {
            Event::InlineHtml(markup) => {
                let id = markup.strip_prefix("<a id=\"").and_then(|rest| rest.split('"').next());
                named = named.or(id.map(str::to_owned));
            }
            Event::Text(part) | Event::Code(part) => text.push_str(part),
            _ => {}
        }
    }
    (named, text)
}

/// The anchor that GitHub makes of a heading.
fn slug(title: &str) -> String {
    let kept = title.trim().chars().filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Where a link leads among the pages that are served.
///
/// # Panics
/// When it names a file that is no runbook: the program does not hold it.
fn page_of(id: &str, link: &str) -> String {
    if link.starts_with('#') || link.starts_with("https://") || link.starts_with("http://") {
        return link.to_owned();
    }
    let (path, anchor) =
        link.split_once('#').map_or((link, String::new()), |(path, anchor)| (path, format!("#{anchor}")));
    let page = path.strip_suffix(".md").filter(|page| !page.contains('/'));
    let page =
        page.unwrap_or_else(|| panic!("{RUNBOOKS}/{id}.md links to {link}: only runbooks and https:// are served"));
    if page == "README" { format!("./{anchor}") } else { format!("{page}{anchor}") }
}

/// The commit that is checked out here. Only for release builds: others would be compiled anew after every commit.
fn checked_out() -> Option<String> {
    if env::var("PROFILE").ok()? != "release" {
        return None;
    }
    let root = env::var("CARGO_MANIFEST_DIR").ok()?;
    // Sources that were unpacked inside another repository are not part of it.
    let top = git(&root, &["rev-parse", "--show-toplevel"])?;
    if fs::canonicalize(top).ok()? != fs::canonicalize(&root).ok()? {
        return None;
    }
    let log = Path::new(&root).join(git(&root, &["rev-parse", "--git-path", "logs/HEAD"])?);
    println!("cargo::rerun-if-changed={}", log.display());
    git(&root, &["rev-parse", "HEAD"])
}

fn git(folder: &str, arguments: &[&str]) -> Option<String> {
    output(Command::new("git").args(["-C", folder]).args(arguments))
}

/// What a command prints, where it succeeds.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
