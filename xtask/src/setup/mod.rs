//! `cargo xtask setup`: installs what is missing and nothing else. Every step looks at the state of the machine first, says what it found,
//! and names the command to run where it cannot go on by itself.

mod apt;
mod npm;
mod rights;
mod tool;
mod wasm;

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::paths::{self, Paths};
use apt::Apt;
pub use wasm::WasmToolchain;

/// The wasm target's name.
pub const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// Something a command needs on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A Rust toolchain that compiles and links for wasm.
    Wasm,
    /// `wasm-bindgen` and `wasm-bindgen-test-runner`, of the version in `Cargo.lock`.
    WasmBindgen,
    /// Node and the packages of the npm workspace, `wasm-opt` among them.
    Npm,
    /// `wasm-pack`.
    WasmPack,
    /// Chromium and its WebDriver.
    Chromium,
    /// Firefox and its WebDriver.
    Firefox,
}

impl Need {
    /// Everything, in the order of installation.
    pub const ALL: &[Self] = &[
        Self::Wasm,
        Self::WasmBindgen,
        Self::Npm,
        Self::WasmPack,
        Self::Chromium,
        Self::Firefox,
    ];
}

/// What setup found or installed, for the commands that use it.
#[derive(Default)]
pub struct Tools {
    wasm: Option<WasmToolchain>,
    /// Directories that go in front of `PATH`, because their tools are not on it.
    dirs: Vec<PathBuf>,
}

impl Tools {
    /// `cargo` of the toolchain that compiles for wasm, in the workspace's root.
    pub fn wasm_cargo(&self, paths: &Paths) -> Result<Command> {
        let mut command = self.command("cargo")?;
        command.current_dir(&paths.root);
        self.for_wasm(&mut command)?;
        Ok(command)
    }

    /// Makes the Rust toolchain that `command` calls the one that compiles for wasm.
    pub fn for_wasm(&self, command: &mut Command) -> Result<()> {
        let toolchain = self
            .wasm
            .as_ref()
            .context("internal error: the wasm toolchain was not asked for")?;
        command.envs(toolchain.env.iter().map(|(name, value)| (name, value)));
        Ok(())
    }

    /// The root of the Rust toolchain that compiles for wasm.
    pub fn wasm_sysroot(&self) -> Option<PathBuf> {
        self.wasm.as_ref()?.sysroot()
    }

    /// A command that finds the tools of this set-up before others of the same name.
    pub fn command(&self, program: &str) -> Result<Command> {
        let path = self.path()?;
        // `Command` looks the program up in its own `PATH` setting, so the name is enough.
        let mut command = Command::new(program);
        command.env("PATH", path);
        Ok(command)
    }

    /// Where the tool called `name` is.
    pub fn which(&self, name: &str) -> Option<PathBuf> {
        paths::which_in(&self.path().ok()?, name)
    }

    fn path(&self) -> Result<OsString> {
        let inherited = env::var_os("PATH").unwrap_or_default();
        env::join_paths(
            self.dirs
                .iter()
                .cloned()
                .chain(env::split_paths(&inherited)),
        )
        .context("a tool's directory has a `:` in its name")
    }
}

/// Brings the machine to where `needs` are met and says what was done.
pub fn run(paths: &Paths, needs: &[Need]) -> Result<Tools> {
    if !needs.is_empty() {
        println!("setup");
    }
    let mut apt = Apt::default();
    let mut tools = Tools::default();
    for need in needs {
        match need {
            Need::Wasm => tools.wasm = Some(wasm::ensure(paths, &mut apt)?),
            Need::WasmBindgen => tools.dirs.extend(tool::ensure_wasm_bindgen(paths)?),
            Need::Npm => npm::ensure(paths)?,
            Need::WasmPack => tools.dirs.extend(tool::ensure_wasm_pack()?),
            Need::Chromium => {
                apt.ensure(
                    "Chromium",
                    &["chromium", "chromium-browser", "google-chrome"],
                    "chromium",
                )?;
                apt.ensure("its WebDriver", &["chromedriver"], "chromium-driver")?;
            }
            Need::Firefox => {
                apt.ensure("Firefox", &["firefox", "firefox-esr"], "firefox-esr")?;
                tools.dirs.extend(tool::ensure_geckodriver()?);
            }
        }
    }
    Ok(tools)
}

/// Prints the line of a step that has nothing to do.
fn ready(what: &str, found: &str) {
    println!("  ready    {what}: {found}");
}

/// Prints the line of a step that begins to work.
fn missing(what: &str, why: &str) {
    println!("  missing  {what}: {why}");
}
