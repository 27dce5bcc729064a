//! The image for every platform, and where it comes from, by `BuildKit` alone: no compiler for another processor is needed to see
//! which one the `Dockerfile` asks for, that nothing is emulated, and what the provenance says.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testbed::{components, isolation::STATE, wait::wait_for};

use crate::docker::{CONTROL_GROUP, remove_control_groups, with_programs};

const SOCKET: &str = "unix:///run/buildkit-test.sock";
const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";

/// A builder of the test's own; ended when dropped.
struct Builder(Child);

impl Drop for Builder {
    fn drop(&mut self) {
        drop(Command::new("kill").arg(self.0.id().to_string()).status());
        drop(self.0.wait());
        remove_control_groups();
    }
}

/// Builds for both platforms with the programs of `folder`.
pub(crate) fn platforms(folder: &Path) -> Result<()> {
    let work = Path::new(STATE).join("platforms");
    let base = work.join("base");
    fs::create_dir_all(&work)?;
    let root = components::project_root();
    let made = Command::new(root.join("tests/image/platforms.sh")).arg(&base).output()?;
    ensure!(made.status.success(), "no stand-in: {}", String::from_utf8_lossy(&made.stderr).trim());

    let log = File::create(work.join("log"))?;
    let builder = with_programs(folder, &components::program("buildkitd")?)
        .args(["--addr", SOCKET, "--oci-worker=true", "--containerd-worker=false", "--oci-worker-net=host", "--root"])
        .arg(work.join("root"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("buildkitd does not start")?;
    let builder = Builder(builder);
    let client = components::program("buildctl")?;
    let buildctl = |arguments: &[&str]| {
        let output = Command::new(&client).args(["--addr", SOCKET]).args(arguments).current_dir(&root).output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`buildctl {}` failed: {}", arguments.join(" "), told.trim());
        Ok(())
    };
    wait_for("buildkitd", Duration::from_secs(20), || buildctl(&["debug", "workers"]))
        .with_context(|| fs::read_to_string(work.join("log")).unwrap_or_default())?;

    let archive = work.join("image.tar");
    let begin = Instant::now();
    buildctl(&[
        "build",
        "--frontend=dockerfile.v0",
        "--local=context=.",
        "--local=dockerfile=.",
        &format!("--local=base={}", base.display()),
        // The name of the official image leads to the stand-in.
        concat!("--opt=context:rust:", env!("CARGO_PKG_RUST_VERSION"), "-bookworm=local:base"),
        "--opt=platform=linux/amd64,linux/arm64",
        &format!("--opt=build-arg:REVISION={REVISION}"),
        "--opt=attest:provenance=mode=max",
        &format!("--opt=cgroup-parent={CONTROL_GROUP}"),
        &format!("--output=type=oci,dest={}", archive.display()),
    ])?;
    println!("platforms: built for both after {:.1} s", begin.elapsed().as_secs_f64());
    drop(builder);
    let image = Image::unpack(&archive, &work.join("image"))?;
    for (architecture, target) in [("amd64", "x86_64-unknown-linux-musl"), ("arm64", "aarch64-unknown-linux-musl")] {
        image.check(architecture, target)?;
    }
    Ok(())
}

/// An image in the layout of the Open Container Initiative.
struct Image {
    folder: std::path::PathBuf,
    manifests: Vec<Value>,
}

impl Image {
    fn unpack(archive: &Path, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let unpacked =
            Command::new("tar").arg("--extract").arg("--file").arg(archive).arg("-C").arg(folder).status()?;
        ensure!(unpacked.success(), "no archive of an image");
        let mut image = Self { folder: folder.to_owned(), manifests: Vec::new() };
        let index: Value = serde_json::from_slice(&fs::read(folder.join("index.json"))?)?;
        let list = image.read(&index["manifests"][0])?;
        image.manifests.clone_from(list["manifests"].as_array().context("manifests")?);
        Ok(image)
    }

    fn path(&self, descriptor: &Value) -> Result<std::path::PathBuf> {
        let digest = descriptor["digest"].as_str().context("a digest")?;
        Ok(self.folder.join("blobs").join(digest.replacen(':', "/", 1)))
    }

    fn read(&self, descriptor: &Value) -> Result<Value> {
        Ok(serde_json::from_slice(&fs::read(self.path(descriptor)?)?)?)
    }

    /// The image of one platform holds what was built for it, and its provenance names the source and every step.
    fn check(&self, architecture: &str, target: &str) -> Result<()> {
        let is_of = |manifest: &&Value| manifest["platform"]["architecture"] == architecture;
        let descriptor = self.manifests.iter().find(is_of).with_context(|| format!("no image for {architecture}"))?;
        let manifest = self.read(descriptor)?;
        let config = &self.read(&manifest["config"])?["config"];
        ensure!(config["User"] == "65532:65532", "user {}", config["User"]);
        ensure!(config["Labels"]["org.opencontainers.image.revision"] == REVISION, "labels {}", config["Labels"]);
        let layer = manifest["layers"].as_array().and_then(|layers| layers.last()).context("a layer")?;
        let program = Command::new("tar")
            .args(["--extract", "--gzip", "--to-stdout", "--file"])
            .arg(self.path(layer)?)
            .arg("metrics-server-doctor")
            .output()?;
        let program = String::from_utf8_lossy(&program.stdout);
        ensure!(
            program.trim() == format!("built for {target}"),
            "the image for {architecture} holds what was {program}"
        );

        let is_about = |manifest: &&Value| {
            manifest["annotations"]["vnd.docker.reference.digest"] == descriptor["digest"]
                && manifest["annotations"]["vnd.docker.reference.type"] == "attestation-manifest"
        };
        let attested =
            self.manifests.iter().find(is_about).with_context(|| format!("nothing attests {architecture}"))?;
        let statement = self.read(&self.read(attested)?["layers"][0])?;
        let kind = statement["predicateType"].as_str().unwrap_or_default();
        ensure!(kind.starts_with("https://slsa.dev/provenance/"), "the statement is of type {kind}");
        let told = statement["predicate"].to_string();
        // Arguments and steps are there in mode max alone.
        for wanted in [REVISION, "release/build.sh", "buildDefinition"] {
            ensure!(told.contains(wanted), "the provenance of {architecture} does not tell {wanted}");
        }
        let steps = &statement["predicate"]["buildDefinition"]["internalParameters"]["buildConfig"]["llbDefinition"];
        let steps = steps.as_array().context("the steps of the build")?;
        let commands: Vec<_> = steps.iter().filter(|step| step["op"]["Op"]["exec"].is_object()).collect();
        ensure!(commands.len() >= 2, "{} commands are in the provenance", commands.len());
        let native = if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" };
        for command in commands {
            let on = &command["op"]["platform"]["Architecture"];
            ensure!(*on == native, "a command of the image for {architecture} runs on {on}, which would be emulated");
        }
        Ok(())
    }
}
