//! Building and fetching: whole or not at all, and nothing twice.

use std::{
    fs::{self, File, TryLockError},
    io::ErrorKind,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{Component, Files, list, project_root};

const ALERTMANAGER: Files =
    Files { folder: list::ALERTMANAGER, module: "github.com/prometheus/alertmanager", paths: &["."] };
/// Pages of the web interface, which are made outside of Go and so are not in the module's archive; the sources embed them.
const ALERTMANAGER_PAGES: &[&str] = &["ui/app/dist/elm/index.html", "ui/app/dist/mantine/index.html"];

/// Builds and fetches into `.components`; several may run side by side.
#[derive(Debug)]
pub struct Builder {
    root: PathBuf,
    go: PathBuf,
}

impl Default for Builder {
    fn default() -> Self {
        Self { root: project_root(), go: "go".into() }
    }
}

impl Builder {
    /// Builds a program unless it is there.
    ///
    /// # Errors
    ///
    /// One line that names the component and what is missing.
    pub fn program(&self, component: &Component) -> Result<()> {
        let is_there = || component.find().is_some() || component.built(&self.root).is_file();
        if is_there() {
            return Ok(());
        }
        let _lock = self.lock(component.folder, component.program)?;
        if is_there() {
            return Ok(());
        }
        let sources = self.sources(component)?;
        let mut flags = "-s -w".to_owned();
        for version in component.versions {
            flags.push_str(" -X ");
            flags.push_str(version);
        }
        eprintln!("components: building {} of {}", component.program, component.folder);
        let begin = Instant::now();
        self.whole(component.folder, component.program, |unfinished| {
            let status = self
                .go(&sources)
                .env("CGO_ENABLED", "0")
                .args(["build", "-p", "2", "-trimpath", "-ldflags", &flags, "-o"])
                .arg(unfinished)
                .arg(component.package)
                .status();
            match status {
                Ok(status) if status.success() => Ok(()),
                Ok(status) => bail!("`go build {}` ended with {status}", component.package),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    bail!(
                        "it is neither in KUBEBUILDER_ASSETS nor in .components, and there is no `go` to build it with"
                    )
                }
                Err(error) => bail!("`go` does not start: {error}"),
            }
        })
        .with_context(|| format!("cannot build {} of {}", component.program, component.folder))?;
        eprintln!("components: built {} of {} in {} s", component.program, component.folder, begin.elapsed().as_secs());
        Ok(())
    }

    /// Copies files out of their Go module unless they are there.
    ///
    /// # Errors
    ///
    /// One line that names the module and why it cannot be had.
    pub fn files(&self, files: &Files) -> Result<()> {
        self.fetch(files, |_| Ok(()))
    }

    /// The folder to build in: the pinned Go module, or where its archive lacks files a completed copy of what it pins.
    fn sources(&self, component: &Component) -> Result<PathBuf> {
        if component.folder != list::ALERTMANAGER {
            return Ok(self.root.join("tests/components").join(component.folder));
        }
        self.fetch(&ALERTMANAGER, |copy| {
            for page in ALERTMANAGER_PAGES {
                let page = copy.join(page);
                fs::create_dir_all(page.parent().context("a page without folder")?)?;
                fs::write(page, "<title>Alertmanager</title>\n")?;
            }
            Ok(())
        })?;
        Ok(ALERTMANAGER.copied(&self.root))
    }

    fn fetch(&self, files: &Files, complete: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        if files.find(&self.root).is_some() {
            return Ok(());
        }
        let _lock = self.lock(files.folder, "files")?;
        if files.find(&self.root).is_some() {
            return Ok(());
        }
        let archive = self.download(files)?;
        self.whole(files.folder, "files", |unfinished| {
            for path in files.paths {
                // Without the dot at the end that stands for a whole module.
                let copy: PathBuf = unfinished.join(path).components().collect();
                fs::create_dir_all(copy.parent().context("a file without folder")?)?;
                // Files of the module cache are read-only, and so would be their copies.
                let copied = Command::new("cp")
                    .args(["--recursive", "--no-preserve=mode", "--no-target-directory"])
                    .arg(archive.join(path))
                    .arg(&copy)
                    .output()?;
                let why = String::from_utf8_lossy(&copied.stderr);
                ensure!(copied.status.success(), "cannot copy {path}: {}", why.trim());
            }
            complete(unfinished)
        })
        .with_context(|| format!("cannot copy files of {}", files.module))?;
        eprintln!("components: fetched files of {}", files.folder);
        Ok(())
    }

    /// Where Go has unpacked the module; its version and sum are pinned.
    fn download(&self, files: &Files) -> Result<PathBuf> {
        let module = files.module;
        let output = self
            .go(&self.root.join("tests/components").join(files.folder))
            .args(["mod", "download", "-json", module])
            .output()
            .with_context(|| format!("files of {module} are needed, and `go` does not start"))?;
        let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        told["Dir"].as_str().map(PathBuf::from).with_context(|| {
            let why = String::from_utf8_lossy(&output.stderr);
            format!("cannot fetch {module}: {}", told["Error"].as_str().unwrap_or(why.trim()))
        })
    }

    fn go(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.go);
        command.current_dir(folder).env("GOFLAGS", "-mod=readonly").stdin(Stdio::null());
        command
    }

    /// Held by whoever makes `name`; the kernel lets it go however its holder ends.
    fn lock(&self, folder: &str, name: &str) -> Result<File> {
        let folder = self.root.join(".components").join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let file = File::create(folder.join(format!(".{name}.lock")))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                eprintln!("components: waiting for {name}, which is being built already");
                file.lock()?;
            }
            Err(TryLockError::Error(error)) => return Err(error).context("cannot lock"),
        }
        Ok(file)
    }

    /// Lets `make` write a file or folder under another name, which becomes `name` only when it is whole: what was interrupted is
    /// never taken for it.
    fn whole(&self, folder: &str, name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let folder = self.root.join(".components").join(folder);
        let prefix = format!("{name}.unfinished");
        // Left behind by somebody who was killed.
        for entry in fs::read_dir(&folder)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                remove(&entry.path())?;
            }
        }
        let unfinished = folder.join(format!("{prefix}-{}", std::process::id()));
        if let Err(error) = make(&unfinished) {
            remove(&unfinished)?;
            return Err(error);
        }
        let whole = folder.join(name);
        remove(&whole)?;
        fs::rename(&unfinished, &whole).with_context(|| format!("cannot move {}", unfinished.display()))
    }
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, thread};

    use super::*;

    const PROGRAM: Component =
        Component { program: "tool", folder: "tool-1.0.0", package: "example/tool", versions: &[] };
    const CHART: Files = Files { folder: "tool-1.0.0", module: "example/tool", paths: &["charts/tool", "crd.yaml"] };

    /// A project of its own, whose `go` writes down each call and then does what `script` says.
    fn project(script: &str) -> (tempfile::TempDir, Builder) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        fs::create_dir_all(root.join("tests/components/tool-1.0.0")).expect("a folder");
        let archive = root.join("cache/tool@v1.0.0");
        fs::create_dir_all(archive.join("charts/tool")).expect("a folder");
        for file in ["charts/tool/Chart.yaml", "crd.yaml", "not-wanted"] {
            let path = archive.join(file);
            fs::write(&path, file).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).expect("permissions");
        }
        let go = root.join("go");
        let text = format!(
            "#!/bin/sh\necho \"$*\" >>{0}/calls\nout=$8\narchive={0}/cache/tool@v1.0.0\n{script}\n",
            root.display()
        );
        fs::write(root.join("go.sh"), text).expect("a file");
        // Written by another process: a program cannot start that a fork of this one still has open.
        let installed = Command::new("install").arg("--mode=755").arg(root.join("go.sh")).arg(&go).status();
        assert!(installed.expect("`install` starts").success());
        let builder = Builder { root: root.to_owned(), go };
        (folder, builder)
    }

    fn calls(builder: &Builder) -> usize {
        fs::read_to_string(builder.root.join("calls")).unwrap_or_default().lines().count()
    }

    fn left(builder: &Builder) -> Vec<String> {
        let entries = fs::read_dir(builder.root.join(".components/tool-1.0.0")).expect("the folder");
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    #[test]
    fn two_at_a_time_build_a_program_once() {
        let (_folder, builder) = project("echo half >$out && sleep 0.3 && echo whole >$out");
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| builder.program(&PROGRAM).expect("it is built"));
            }
        });
        builder.program(&PROGRAM).expect("it is there");
        assert_eq!(calls(&builder), 1);
        assert_eq!(fs::read_to_string(PROGRAM.built(&builder.root)).expect("the program"), "whole\n");
        assert_eq!(left(&builder), ["tool"]);
    }

    #[test]
    fn a_build_that_fails_leaves_nothing_and_what_was_interrupted_is_no_program() {
        let (_folder, builder) = project("echo half >$out && exit 1");
        let folder = builder.root.join(".components/tool-1.0.0");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("tool.unfinished-1"), "half").expect("a file");
        let told = format!("{:#}", builder.program(&PROGRAM).expect_err("it fails"));
        assert_eq!(told, "cannot build tool of tool-1.0.0: `go build example/tool` ended with exit status: 1");
        assert!(left(&builder).is_empty(), "{:?}", left(&builder));
    }

    #[test]
    fn without_go_it_says_so() {
        let (_folder, mut builder) = project("");
        builder.go = builder.root.join("no-go");
        let told = format!("{:#}", builder.program(&PROGRAM).expect_err("it fails"));
        assert!(told.ends_with("and there is no `go` to build it with"), "{told}");
    }

    #[test]
    fn files_are_copied_once_and_belong_to_whoever_fetched_them() {
        let (_folder, builder) = project("echo \"{\\\"Dir\\\": \\\"$archive\\\"}\"");
        for _ in 0..2 {
            builder.files(&CHART).expect("they are fetched");
        }
        assert_eq!(calls(&builder), 1);
        let copy = CHART.copied(&builder.root);
        assert_eq!(CHART.find(&builder.root), Some(copy.clone()));
        for file in ["charts/tool/Chart.yaml", "crd.yaml"] {
            let path = copy.join(file);
            assert_eq!(fs::read_to_string(&path).expect("a copy"), file);
            assert_eq!(path.metadata().expect("a copy").permissions().mode() & 0o200, 0o200, "{file} is read-only");
        }
        assert!(!copy.join("not-wanted").exists());
        assert_eq!(left(&builder), ["files"]);

        // A path that the list has gained since.
        let more = Files { paths: &["crd.yaml", "not-wanted"], ..CHART };
        assert_eq!(more.find(&builder.root), None);
        builder.files(&more).expect("they are fetched anew");
        assert!(more.find(&builder.root).is_some());
    }

    #[test]
    fn a_module_that_cannot_be_had_is_named_with_the_reason() {
        let (_folder, builder) = project("echo '{\"Error\": \"checksum mismatch\"}' && exit 1");
        let told = format!("{:#}", builder.files(&CHART).expect_err("it fails"));
        assert_eq!(told, "cannot fetch example/tool: checksum mismatch");
        assert!(left(&builder).is_empty());
    }
}
