//! `cargo xtask lint`: formatting and lints, native and wasm, and the strict TypeScript check. No warning passes.

use std::process::Command;

use anyhow::Result;

use crate::npm;
use crate::paths::Paths;
use crate::process;
use crate::setup::{self, Need};

/// Runs every check; the first that fails ends it.
pub fn run(paths: &Paths) -> Result<()> {
    let tools = setup::run(paths, &[Need::Wasm, Need::Npm])?;
    println!("lint");
    process::run(
        Command::new("cargo")
            .args(["fmt", "--all", "--", "--check"])
            .current_dir(&paths.root),
    )?;
    process::run(
        Command::new("cargo")
            .args([
                "clippy",
                "--workspace",
                "--all-targets",
                "--features",
                "mobkit-web/testing",
                "--quiet",
                "--",
                "-D",
                "warnings",
            ])
            .current_dir(&paths.root),
    )?;
    process::run(
        tools
            .wasm_cargo(paths)?
            .args([
                "clippy",
                "--package",
                "mobkit-web",
                "--target",
                setup::WASM_TARGET,
                "--all-targets",
            ])
            .args([
                "--features",
                "bindings,testing",
                "--quiet",
                "--",
                "-D",
                "warnings",
            ]),
    )?;
    let typed = npm::packages_with(paths, "typecheck")?;
    if !typed.is_empty() {
        process::run(&mut npm::run_script(paths, "typecheck", &typed))?;
    }
    Ok(())
}
