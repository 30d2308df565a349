//! `cargo xtask lint`: formatting and lints, native and wasm, and the strict TypeScript check. No warning passes.

use std::process::Command;

use anyhow::{Result, bail};

use crate::npm;
use crate::paths::Paths;
use crate::process;
use crate::setup::{self, Need, Tools, WASM_TARGET};

/// Runs every check, also after one that failed, so that one run shows all there is to mend.
pub fn run(paths: &Paths) -> Result<()> {
    let tools = setup::run(paths, &[Need::Wasm, Need::Npm])?;
    println!("lint");
    let mut failed = vec![];
    for mut check in checks(paths, &tools)? {
        if let Err(error) = process::run(&mut check) {
            failed.push(format!("{error:#}"));
        }
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("; "));
    }
    Ok(())
}

fn checks(paths: &Paths, tools: &Tools) -> Result<Vec<Command>> {
    let mut format = Command::new("cargo");
    format
        .args(["fmt", "--all", "--", "--check"])
        .current_dir(&paths.root);
    let mut native = Command::new("cargo");
    native
        .current_dir(&paths.root)
        .args(["clippy", "--workspace", "--all-targets"]);
    native.args(["--features", "mobkit-web/testing"]);
    let mut wasm = tools.wasm_cargo(paths)?;
    wasm.args([
        "clippy",
        "--package",
        "mobkit-web",
        "--package",
        "mobkit-web-bench",
        "--all-targets",
        "--target",
        WASM_TARGET,
    ]);
    wasm.args(["--features", "mobkit-web/bindings,mobkit-web/testing"]);
    for clippy in [&mut native, &mut wasm] {
        clippy.args(["--quiet", "--", "-D", "warnings"]);
    }
    let mut checks = vec![format, native, wasm];

    let typed = npm::packages_with(paths, "typecheck")?;
    if !typed.is_empty() {
        // The other packages see the published face of `sdk`, which is in its build.
        checks.push(npm::run_script(paths, "build", &["sdk"]));
        checks.push(npm::run_script(paths, "typecheck", &typed));
    }
    Ok(checks)
}
