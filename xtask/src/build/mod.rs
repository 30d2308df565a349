//! `cargo xtask build`: the wasm module and its glue, the TypeScript around them, and the npm package of it all.

mod glue;
mod matrix;
mod package;
mod size;
mod wasm;

use std::fs;

use anyhow::{Context, Result};

use crate::npm;
use crate::paths::Paths;
use crate::process;
use crate::setup::{self, Need, Tools};
use size::Size;
use wasm::Artefact;

/// What every build needs.
pub const NEEDS: &[Need] = &[Need::Wasm, Need::WasmBindgen, Need::Npm];

/// The whole release: the package in `target/npm/`, and its sizes. Over the budget is an error.
pub fn release(paths: &Paths) -> Result<()> {
    let tools = setup::run(paths, NEEDS)?;
    println!("build");
    let row = matrix::row(paths, "release")?;
    let dist = paths.www().join("sdk/dist");
    let artefact = optimised(paths, &tools)?;
    let package = package::assemble(paths)?;

    let mut sizes = vec![
        Size::of_file("module", &artefact.module)?,
        Size::of_file("glue", &artefact.glue)?,
    ];
    let scripts = package::files_below(&dist, ".js")?;
    let scripts = scripts
        .iter()
        .filter(|path| **path != artefact.glue)
        .map(|path| Size::of_file("", path))
        .collect::<Result<Vec<_>>>()?;
    sizes.push(Size {
        name: "package's JavaScript".into(),
        ..Size::total(&scripts)
    });
    println!("\n{}", size::table(&sizes));
    if let Some(budget) = row.gzip_budget {
        println!("{}", size::check_budget(&sizes, budget)?);
    }
    println!("the npm package is in {}", package.display());
    Ok(())
}

/// The module as it is published, its glue and the TypeScript around them, in `www/sdk/dist`.
pub fn optimised(paths: &Paths, tools: &Tools) -> Result<Artefact> {
    // What an earlier state of the sources left behind must not be published.
    let dist = paths.www().join("sdk/dist");
    if dist.exists() {
        fs::remove_dir_all(&dist).context("cannot empty www/sdk/dist")?;
    }
    let artefact = wasm::build(paths, tools, &matrix::row(paths, "release")?)?;
    process::run(&mut npm::run_script(paths, "build", &["sdk"]))?;
    Ok(artefact)
}

/// The module, its glue and the TypeScript around them, as fast as possible: no package, no sizes.
pub fn dev(paths: &Paths, tools: &Tools) -> Result<()> {
    wasm::build(paths, tools, &matrix::row(paths, "dev")?)?;
    process::run(&mut npm::run_script(paths, "build", &["sdk"]))
}
