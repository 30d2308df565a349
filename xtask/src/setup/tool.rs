//! Tools that come from crates.io: `wasm-bindgen`, `wasm-pack`, `geckodriver`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{missing, ready};
use crate::paths::{self, Paths};
use crate::process;

/// A tool as a package of crates.io.
struct Tool<'a> {
    /// The package.
    package: &'a str,
    /// The executables it brings that are used here; the first one is asked for its version.
    executables: &'a [&'a str],
    /// The version. A different one does not do if `exact`.
    version: &'a str,
    exact: bool,
    /// Whether it works hard enough for an optimised build to pay.
    optimised: bool,
}

/// The command line that reads and writes the glue must be of exactly the version of the crate that was compiled in.
pub fn ensure_wasm_bindgen(paths: &Paths) -> Result<Option<PathBuf>> {
    let lock =
        fs::read_to_string(paths.root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let version =
        locked_version(&lock, "wasm-bindgen").context("Cargo.lock has no wasm-bindgen")?;
    let executables = &["wasm-bindgen", "wasm-bindgen-test-runner"];
    ensure(&Tool {
        package: "wasm-bindgen-cli",
        executables,
        version: &version,
        exact: true,
        optimised: true,
    })
}

/// `wasm-pack`, which people who test their own crates use.
pub fn ensure_wasm_pack() -> Result<Option<PathBuf>> {
    ensure(&Tool {
        package: "wasm-pack",
        executables: &["wasm-pack"],
        version: "0.15.0",
        exact: false,
        optimised: false,
    })
}

/// Firefox's WebDriver, which Debian does not package.
pub fn ensure_geckodriver() -> Result<Option<PathBuf>> {
    ensure(&Tool {
        package: "geckodriver",
        executables: &["geckodriver"],
        version: "0.37.1",
        exact: false,
        optimised: false,
    })
}

/// Finds or compiles the tool. The directory is given if it is not on `PATH`.
fn ensure(tool: &Tool<'_>) -> Result<Option<PathBuf>> {
    let Tool {
        package,
        executables,
        version,
        ..
    } = *tool;
    let root = paths::tool_root(package, version);
    let private = root.join("bin");
    let on_path = executables
        .iter()
        .map(|name| paths::which(name))
        .collect::<Option<Vec<_>>>();
    let found = on_path.as_ref().and_then(|found| version_of(&found[0]));
    if let Some(found) = found
        .as_deref()
        .filter(|found| *found == version || !tool.exact)
    {
        ready(package, found);
        return Ok(None);
    }
    let complete = || {
        executables
            .iter()
            .all(|name| paths::is_executable(&private.join(name)))
    };
    if complete() && version_of(&private.join(executables[0])).as_deref() == Some(version) {
        ready(package, &format!("{version} in {}", private.display()));
        return Ok(Some(private));
    }
    missing(
        package,
        &found.map_or_else(
            || "not installed".into(),
            |found| format!("version {found} is on PATH, {version} is needed"),
        ),
    );
    if process::run(&mut install(tool, &root, true)).is_err() {
        println!("  With its own lockfile it does not compile against this registry; without:");
        process::run(&mut install(tool, &root, false)).with_context(|| {
            format!(
                "{package} {version} cannot be compiled: install it yourself and put it on PATH"
            )
        })?;
    }
    if !complete() {
        bail!(
            "{package} {version} was installed, but {} lacks one of {}",
            private.display(),
            executables.join(", ")
        );
    }
    Ok(Some(private))
}

fn install(tool: &Tool<'_>, root: &Path, locked: bool) -> Command {
    let mut command = Command::new("cargo");
    command
        .args(["install", tool.package, "--version", tool.version, "--root"])
        .arg(root);
    // The flags for the product are not meant for the tools.
    command
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET");
    if locked {
        command.arg("--locked");
    }
    if tool.optimised {
        // A little optimisation gives most of the speed in half of the time.
        command
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_RELEASE_LTO", "off");
        command.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    } else {
        command.arg("--debug").env("CARGO_PROFILE_DEV_DEBUG", "0");
    }
    command
}

fn version_of(executable: &Path) -> Option<String> {
    first_version(&process::capture(
        Command::new(executable).arg("--version"),
    )?)
    .map(str::to_owned)
}

/// The version in `wasm-bindgen 0.2.130`, `geckodriver 0.37.1 (…)` and the like.
fn first_version(output: &str) -> Option<&str> {
    output
        .lines()
        .next()?
        .split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<LockedPackage>,
}

#[derive(Deserialize)]
struct LockedPackage {
    name: String,
    version: String,
}

/// The version of `package` in the text of a `Cargo.lock`.
fn locked_version(lock: &str, package: &str) -> Option<String> {
    let lock: Lock = toml::from_str(lock).ok()?;
    lock.package
        .into_iter()
        .find(|candidate| candidate.name == package)
        .map(|found| found.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_tools_print() {
        for (output, expected) in [
            ("wasm-bindgen 0.2.130", Some("0.2.130")),
            ("wasm-pack 0.15.0\n", Some("0.15.0")),
            (
                "geckodriver 0.37.1 (abc 2026-01-01)\n\nThe source code…",
                Some("0.37.1"),
            ),
            ("no version here", None),
            ("", None),
        ] {
            assert_eq!(first_version(output), expected, "{output:?}");
        }
    }

    #[test]
    fn the_locked_version_is_that_of_the_package_itself() {
        let lock = "version = 4\n[[package]]\nname = \"wasm-bindgen-futures\"\nversion = \"0.4.80\"\n\n[[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\n";
        assert_eq!(
            locked_version(lock, "wasm-bindgen").as_deref(),
            Some("0.2.130")
        );
        assert_eq!(locked_version(lock, "serde"), None);
        assert_eq!(locked_version("not toml =", "serde"), None);
    }

    #[test]
    fn tools_are_installed_in_a_directory_of_their_own() {
        let tool = Tool {
            package: "wasm-pack",
            executables: &["wasm-pack"],
            version: "1.2.3",
            exact: false,
            optimised: false,
        };
        let line = |locked| process::show(&install(&tool, Path::new("/cache"), locked));
        assert_eq!(
            line(true),
            "cargo install wasm-pack --version 1.2.3 --root /cache --locked --debug"
        );
        assert_eq!(
            line(false),
            "cargo install wasm-pack --version 1.2.3 --root /cache --debug"
        );
    }
}
