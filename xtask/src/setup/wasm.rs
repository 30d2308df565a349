//! The Rust toolchain that compiles for wasm: the one in use where rustup can add the target; else Debian's, for whose wasm target the standard
//! library is compiled once from the sources that Debian ships.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::apt::Apt;
use super::rights::Rights;
use super::{WASM_TARGET, missing, ready};
use crate::paths::{self, Paths};
use crate::process;

/// The name under which rustup knows Debian's toolchain.
const DEBIAN_TOOLCHAIN: &str = "debian-web";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
/// The compiler with which Debian builds its browsers, much newer than the release's own.
const DEBIAN_PACKAGES: &[&str] = &[
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "rust-web-llvm",
    "rust-web-clippy",
];
const LINKER_VARIABLE: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER";

/// A program that needs the allocator and the linker: a toolchain that compiles it has all of the standard library.
const PROBE: &str =
    "#[unsafe(no_mangle)] pub extern \"C\" fn probe(n: usize) -> usize { vec![0u8; n].len() }\n";

/// A toolchain, as the environment that selects it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WasmToolchain {
    /// Variables for the processes that compile.
    pub env: Vec<(&'static str, OsString)>,
}

/// Finds or installs a toolchain that compiles for wasm.
pub fn ensure(paths: &Paths, apt: &mut Apt) -> Result<WasmToolchain> {
    // The toolchain in use comes first: one compiler for everything means one set of lints and half of the builds.
    let in_use = WasmToolchain::default();
    if in_use.works(paths) {
        ready(WASM_TARGET, &in_use.version());
        return Ok(in_use);
    }
    if let Some(debian) = WasmToolchain::debian().filter(|debian| debian.works(paths)) {
        ready(WASM_TARGET, &format!("{}, Debian's", debian.version()));
        return Ok(debian);
    }

    missing(WASM_TARGET, "the Rust in use cannot compile for it");
    if paths::which("rustup").is_some() {
        if process::run(Command::new("rustup").args(["target", "add", WASM_TARGET])).is_ok()
            && in_use.works(paths)
        {
            return Ok(in_use);
        }
        println!("  rustup cannot add the target here: Debian's toolchain is taken instead");
    }
    install_debian(paths, apt)
}

impl WasmToolchain {
    /// Debian's toolchain, as far as it is installed: known to rustup, if there is a rustup.
    fn debian() -> Option<Self> {
        let version = process::capture(Command::new(DEBIAN_RUSTC).arg("-vV"))?;
        let mut env = vec![];
        if paths::which("rustup").is_some() {
            let known = process::capture(Command::new("rustup").args(["toolchain", "list"]))?;
            if !known
                .lines()
                .any(|line| line.split_whitespace().next() == Some(DEBIAN_TOOLCHAIN))
            {
                return None;
            }
            env.push(("RUSTUP_TOOLCHAIN", DEBIAN_TOOLCHAIN.into()));
        } else {
            env.push(("RUSTC", DEBIAN_RUSTC.into()));
        }
        if let Some(linker) = linker(&version) {
            env.push((LINKER_VARIABLE, linker.into()));
        }
        Some(Self { env })
    }

    /// `rustc` with the linker that cargo would give it.
    fn rustc(&self) -> Command {
        let value = |wanted: &str| {
            self.env
                .iter()
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| value.clone())
        };
        let mut command = Command::new(value("RUSTC").unwrap_or_else(|| "rustc".into()));
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(linker) = value(LINKER_VARIABLE).or_else(|| env::var_os(LINKER_VARIABLE)) {
            command.arg("-C").arg(
                [OsString::from("linker="), linker]
                    .into_iter()
                    .collect::<OsString>(),
            );
        }
        command
    }

    /// The root of the toolchain.
    pub fn sysroot(&self) -> Option<PathBuf> {
        process::capture(self.rustc().args(["--print", "sysroot"]))
            .map(|path| PathBuf::from(path.trim()))
    }

    fn version(&self) -> String {
        process::capture(self.rustc().arg("--version")).unwrap_or_else(|| "unknown version".into())
    }

    /// Whether it compiles and links for wasm, found out by doing it.
    fn works(&self, paths: &Paths) -> bool {
        let dir = paths.scratch();
        let (source, output) = (
            dir.join("probe.rs"),
            dir.join(format!("probe-{}.wasm", std::process::id())),
        );
        if fs::create_dir_all(&dir)
            .and_then(|()| fs::write(&source, PROBE))
            .is_err()
        {
            return false;
        }
        let mut rustc = self.rustc();
        rustc
            .args([
                "--edition=2024",
                "--crate-type=cdylib",
                "--target",
                WASM_TARGET,
                "-o",
            ])
            .arg(&output)
            .arg(&source);
        let works = process::capture(&mut rustc).is_some();
        // Nobody reads it; the next probe would overwrite it.
        let _ = fs::remove_file(&output);
        works
    }
}

/// Installs what Debian's toolchain lacks, step by step.
fn install_debian(paths: &Paths, apt: &mut Apt) -> Result<WasmToolchain> {
    if debian_sources().is_none() || !Path::new("/usr/bin/cargo-clippy").exists() {
        apt.install(DEBIAN_PACKAGES)?;
    }
    let version = process::capture(Command::new(DEBIAN_RUSTC).arg("-vV"))
        .context("Debian's rustc does not start")?;
    if linker(&version).is_none() {
        let major = llvm_major(&version).context("Debian's rustc names no LLVM version")?;
        apt.install(&[format!("lld-{major}").as_str()])?;
    }
    if paths::which("rustup").is_some() {
        process::run(Command::new("rustup").args(["toolchain", "link", DEBIAN_TOOLCHAIN, "/usr"]))?;
    }
    let toolchain =
        WasmToolchain::debian().context("Debian's toolchain is installed, but cannot be found")?;
    if !toolchain.works(paths) {
        install_standard_library(paths)?;
    }
    if !toolchain.works(paths) {
        bail!(
            "Debian's Rust still cannot compile for {WASM_TARGET}: get Rust from rustup.rs and run `rustup target add {WASM_TARGET}`"
        );
    }
    Ok(toolchain)
}

/// Compiles the standard library for wasm and puts it where Debian's `rustc` looks for it.
fn install_standard_library(paths: &Paths) -> Result<()> {
    let library =
        debian_sources().context("the package rust-web-src brought no /usr/src/rustc-*/library")?;
    let lib_dir = process::capture(Command::new(DEBIAN_RUSTC).args([
        "--print",
        "target-libdir",
        "--target",
        WASM_TARGET,
    ]))
    .context("Debian's rustc does not know the wasm target")?;
    let build = paths.scratch().join("wasm-std");
    process::run(
        Command::new(DEBIAN_CARGO)
            .args([
                "build",
                "--manifest-path",
                "sysroot/Cargo.toml",
                "--release",
                "--features",
                "panic-unwind",
            ])
            .args(["--target", WASM_TARGET, "--target-dir"])
            .arg(&build)
            .env("RUSTC", DEBIAN_RUSTC)
            .env("RUSTC_BOOTSTRAP", "1")
            .env(
                "RUSTFLAGS",
                "-Zforce-unstable-if-unmarked -Cembed-bitcode=yes",
            )
            .env_remove("RUSTUP_TOOLCHAIN")
            .current_dir(library),
    )?;
    let built = files_ending(&build.join(WASM_TARGET).join("release/deps"), ".rlib");
    // Libraries of an earlier compiler must not lie beside the new ones: rustc would take them for candidates.
    let stale = files_ending(Path::new(&lib_dir), ".rlib");
    if !stale.is_empty() {
        privileged(&["rm", "-f", "--"], &stale, None)?;
    }
    privileged(&["mkdir", "-p", "--"], &[], Some(&lib_dir))?;
    privileged(&["cp", "--"], &built, Some(&lib_dir))
}

fn privileged(words: &[&str], files: &[PathBuf], directory: Option<&str>) -> Result<()> {
    let files: Vec<_> = files.iter().map(|path| path.to_string_lossy()).collect();
    let words: Vec<&str> = words
        .iter()
        .copied()
        .chain(files.iter().map(AsRef::as_ref))
        .chain(directory)
        .collect();
    let Some(mut command) = Rights::find().command(&words) else {
        bail!(
            "this user may not write there: run `sudo {}`, then the command again",
            words.join(" ")
        );
    };
    process::run(&mut command)
}

/// The sources that belong to Debian's `rustc`.
fn debian_sources() -> Option<PathBuf> {
    let version = process::capture(Command::new(DEBIAN_RUSTC).arg("-vV"))?;
    let exact = format!("rustc-{}", field(&version, "release")?);
    let dirs = fs::read_dir("/usr/src")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<PathBuf> = dirs
        .filter(|dir| {
            dir.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("rustc-"))
        })
        .map(|dir| dir.join("library"))
        .filter(|library| library.join("sysroot/Cargo.toml").is_file())
        .collect();
    found.sort_by_key(|library| !library.to_string_lossy().contains(&exact));
    found.into_iter().next()
}

/// A linker for wasm: the one of the same LLVM, else the one inside a Rust toolchain, which is not on `PATH`.
fn linker(rustc_version: &str) -> Option<PathBuf> {
    let same_llvm =
        llvm_major(rustc_version).and_then(|major| paths::which(&format!("wasm-ld-{major}")));
    same_llvm.or_else(|| {
        let sysroot = process::capture(Command::new("rustc").args(["--print", "sysroot"]))?;
        let host = field(rustc_version, "host")?;
        let inside = Path::new(&sysroot)
            .join("lib/rustlib")
            .join(host)
            .join("bin/rust-lld");
        paths::is_executable(&inside).then_some(inside)
    })
}

/// The value of `name: value` in what `rustc -vV` prints.
fn field<'a>(version: &'a str, name: &str) -> Option<&'a str> {
    version
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn llvm_major(version: &str) -> Option<u32> {
    field(version, "LLVM version")?
        .split('.')
        .next()?
        .parse()
        .ok()
}

fn files_ending(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: &str = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\nbinary: rustc\ncommit-hash: ac68\n\
                           host: x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8";

    #[test]
    fn the_compiler_tells_what_belongs_to_it() {
        assert_eq!(field(VERSION, "release"), Some("1.96.0"));
        assert_eq!(field(VERSION, "host"), Some("x86_64-unknown-linux-gnu"));
        assert_eq!(field(VERSION, "LLVM"), None);
        assert_eq!(llvm_major(VERSION), Some(22));
        assert_eq!(llvm_major("rustc 1.96.0"), None);
    }

    #[test]
    fn a_toolchain_hands_its_linker_to_rustc() {
        let toolchain = WasmToolchain {
            env: vec![
                ("RUSTUP_TOOLCHAIN", "debian-web".into()),
                (LINKER_VARIABLE, "wasm-ld-22".into()),
            ],
        };
        assert_eq!(
            process::show(&toolchain.rustc()),
            "rustc -C linker=wasm-ld-22"
        );
        let without_rustup = WasmToolchain {
            env: vec![
                ("RUSTC", "/usr/bin/rustc".into()),
                (LINKER_VARIABLE, "wasm-ld-22".into()),
            ],
        };
        assert_eq!(
            process::show(&without_rustup.rustc()),
            "/usr/bin/rustc -C linker=wasm-ld-22"
        );
    }
}
