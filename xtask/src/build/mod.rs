//! `cargo xtask build`: the wasm module and its glue, the TypeScript around them, and the npm package of it all.

mod glue;
mod hints;
mod matrix;
mod names;
mod order;
mod package;
mod size;
mod wasm;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::npm;
use crate::paths::Paths;
use crate::process;
use crate::setup::{self, Need, Tools};
use size::Size;
pub use size::grouped;

/// What every build needs.
pub const NEEDS: &[Need] = &[Need::Wasm, Need::WasmBindgen, Need::Npm];

/// The package that was built.
pub struct Package {
    dir: PathBuf,
    sizes: Vec<Size>,
    /// Bytes that it may have.
    budget: Option<u64>,
}

impl Package {
    /// Refuses more bytes than the build matrix allows.
    pub fn check_budget(&self) -> Result<()> {
        if let Some(budget) = self.budget {
            println!("{}", size::check_budget(&self.sizes, budget)?);
        }
        Ok(())
    }

    /// Bytes after gzip, and how many they may be.
    pub fn gzip(&self) -> (u64, Option<u64>) {
        (Size::total(&self.sizes).gzip, self.budget)
    }
}

/// `cargo xtask build`: the package in `target/npm/`, and its sizes. Over the budget is an error.
pub fn run(paths: &Paths) -> Result<()> {
    let package = release(paths, &setup::run(paths, NEEDS)?)?;
    println!("the npm package is in {}", package.dir.display());
    package.check_budget()
}

/// The module as it is published, its glue and the TypeScript around them in `www/sdk/dist`, and the npm package of it
/// all. Prints the sizes.
pub fn release(paths: &Paths, tools: &Tools) -> Result<Package> {
    println!("build");
    let row = matrix::row(paths, "release")?;
    // What an earlier state of the sources left behind must not be published.
    let dist = paths.www().join("sdk/dist");
    if dist.exists() {
        fs::remove_dir_all(&dist).context("cannot empty www/sdk/dist")?;
    }
    let artefact = wasm::build(paths, tools, &row)?;
    process::run(&mut npm::run_script(paths, "build", &["sdk"]))?;
    minify(paths, &dist)?;
    let dir = package::assemble(paths)?;

    let mut sizes = vec![
        Size::of_file("module", &artefact.module)?,
        Size::of_file("glue", &artefact.glue)?,
    ];
    let (edge, scripts): (Vec<_>, Vec<_>) = package::files_below(&dist, ".js")?
        .into_iter()
        .filter(|path| *path != artefact.glue)
        .partition(|path| {
            ["edge", "modules"]
                .iter()
                .any(|entries| path.starts_with(dist.join(entries)))
        });
    let sum = |name: &str, scripts: &[PathBuf]| -> Result<Size> {
        let sizes = scripts.iter().map(|path| Size::of_file("", path));
        Ok(Size {
            name: name.into(),
            ..Size::total(&sizes.collect::<Result<Vec<_>>>()?)
        })
    };
    sizes.push(sum("package's JavaScript", &scripts)?);
    println!("\n{}", size::table(&sizes));
    // Nobody loads them but who uses them; what an edge runtime loads has no use for the page's side of a worker, which is larger.
    let edge = sum("", &edge)?;
    println!(
        "entries for edge runtimes and modules beside it: {} bytes, {} after gzip",
        edge.raw, edge.gzip
    );
    let budget = row.gzip_budget;
    Ok(Package { dir, sizes, budget })
}

/// Puts the package's JavaScript together into a file for each entry and those that they share: twenty small files do not
/// compress well.
fn minify(paths: &Paths, dist: &Path) -> Result<()> {
    process::run(&mut npm::run_script(paths, "minify", &["sdk"]))?;
    let scripts = |dir: &Path| -> Result<Vec<PathBuf>> {
        let mut found = vec![];
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "js") {
                found.push(path);
            }
        }
        Ok(found)
    };
    for script in scripts(dist)? {
        fs::remove_file(script)?;
    }
    let minified = dist.join("min");
    for script in scripts(&minified)? {
        if let Some(name) = script.file_name() {
            fs::rename(&script, dist.join(name))?;
        }
    }
    fs::remove_dir_all(minified)?;
    Ok(())
}

/// The module, its glue and the TypeScript around them, as fast as possible: no package, no sizes.
pub fn dev(paths: &Paths, tools: &Tools) -> Result<()> {
    println!("build");
    wasm::build(paths, tools, &matrix::row(paths, "dev")?)?;
    process::run(&mut npm::run_script(paths, "build", &["sdk"]))
}

/// What the benches call directly in the wasm, compiled and optimised as the package is, in `www/bench/dist`.
pub fn bench(paths: &Paths, tools: &Tools) -> Result<()> {
    let row = matrix::Row {
        package: "mobkit-web-bench".into(),
        features: vec![],
        output: "www/bench/dist".into(),
        ..matrix::row(paths, "release")?
    };
    wasm::build(paths, tools, &row)?;
    Ok(())
}

/// The console's page over the package that was built last, in `www/console/dist`.
pub fn console(paths: &Paths) -> Result<()> {
    process::run(&mut npm::run_script(paths, "build", &["console"]))
}

/// The suites that an edge runtime runs, in `www/edge/build`.
pub fn edge_suite(paths: &Paths, tools: &Tools) -> Result<()> {
    wasm::build(paths, tools, &matrix::row(paths, "edge-suite")?)?;
    Ok(())
}
