//! From the crate to the optimised wasm module and its glue.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::matrix::Row;
use super::{glue, hints, names, order};
use crate::paths::Paths;
use crate::process;
use crate::setup::{Tools, WASM_TARGET};

/// What one row of the matrix produced.
pub struct Artefact {
    /// The module.
    pub module: PathBuf,
    /// The glue around it, as a JavaScript module.
    pub glue: PathBuf,
}

/// Builds one row of the matrix into its output directory.
pub fn build(paths: &Paths, tools: &Tools, row: &Row) -> Result<Artefact> {
    // The base name of every produced file.
    let name = row.package.replace('-', "_");
    let mut cargo = tools.wasm_cargo(paths)?;
    cargo.args([
        "build",
        "--lib",
        "--package",
        &row.package,
        "--target",
        WASM_TARGET,
        "--profile",
        &row.profile,
    ]);
    cargo.args(["--features", &row.features.join(",")]);
    if !row.default_features {
        cargo.arg("--no-default-features");
    }
    if row.profile != "dev" {
        let flags = release_flags(paths, tools, &row.rustflags);
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags);
    }
    process::run(&mut cargo)?;

    let compiled = paths
        .target
        .join(WASM_TARGET)
        .join(row.profile_dir())
        .join(format!("{name}.wasm"));
    let bound = paths.scratch().join("wasm").join(&row.profile);
    process::run(
        tools
            .command("wasm-bindgen")?
            .args([
                "--target",
                row.target.flag(),
                "--omit-default-module-path",
                "--no-typescript",
                "--out-name",
                &name,
                "--out-dir",
            ])
            .arg(&bound)
            .arg(&compiled),
    )?;

    let module = bound.join(format!("{name}_bg.wasm"));
    if !row.wasm_opt.is_empty() {
        let optimised = bound.join(format!("{name}_opt.wasm"));
        process::run(
            Command::new(paths.npm_bin("wasm-opt"))
                .args(&row.wasm_opt)
                .arg("-o")
                .arg(&optimised)
                .arg(&module),
        )?;
        fs::rename(&optimised, &module)?;
    }
    let script = bound.join(format!("{name}.js"));
    let mut script = fs::read_to_string(&script)
        .with_context(|| format!("wasm-bindgen wrote no {}", script.display()))?;
    if row.compressible {
        let (named, ordered) = (
            bound.join(format!("{name}_named.wasm")),
            bound.join(format!("{name}_ordered.wasm")),
        );
        let (mut short, renamed) = names::shorten(&fs::read(&module)?, &script)?;
        script = renamed;
        hints::level(&mut short)?;
        fs::write(&named, order::name_by_place(&short)?)?;
        process::run(
            Command::new(paths.npm_bin("wasm-opt"))
                .args(
                    row.wasm_opt
                        .iter()
                        .filter(|flag| flag.starts_with("--enable-")),
                )
                .arg("--reorder-functions-by-name")
                .arg("-o")
                .arg(&ordered)
                .arg(&named),
        )?;
        fs::rename(&ordered, &module)?;
        fs::remove_file(&named)?;
    }
    check_imports(&module)?;

    let output = paths.root.join(&row.output);
    fs::create_dir_all(&output)?;
    let artefact = Artefact {
        module: output.join(format!("{name}_bg.wasm")),
        glue: output.join(format!("{name}_glue.js")),
    };
    fs::write(&artefact.glue, glue::wrap_script(&script)?)?;
    fs::copy(&module, &artefact.module)?;
    Ok(artefact)
}

/// The row's compiler flags, and those that keep this machine's paths out of the module: panic messages carry the paths of sources.
fn release_flags(paths: &Paths, tools: &Tools, flags: &[String]) -> OsString {
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
        .unwrap_or_default();
    let registry = cargo_home.join("registry/src");
    // The registry's own directory is named after its host.
    let registries = fs::read_dir(&registry)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()));
    // rustc applies the last mapping that fits, so the general ones come first.
    // The standard library's own paths are the compiler's, until its sources are installed: then they are this machine's.
    let library = tools
        .wasm_sysroot()
        .map(|sysroot| (sysroot.join("lib/rustlib/src/rust"), "rust"));
    let mappings = [
        (paths.root.clone(), "mobkit-web"),
        (registry.clone(), "crates"),
    ]
    .into_iter()
    .chain(library)
    .chain(registries.map(|directory| (directory, "crates")))
    .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    // Flags that the user set are kept; `CARGO_ENCODED_RUSTFLAGS` would otherwise hide them.
    let own = env::var("RUSTFLAGS").unwrap_or_default();
    let own = own.split_whitespace().map(str::to_owned);
    own.chain(flags.iter().cloned())
        .chain(mappings)
        .collect::<Vec<_>>()
        .join("\u{1f}")
        .into()
}

/// The glue provides every import. One from `env` is a C function that some dependency expects and nobody provides.
fn check_imports(module: &Path) -> Result<()> {
    const SCRIPT: &str = "const m = new WebAssembly.Module(require('fs').readFileSync(process.argv[1]));\
                          console.log(WebAssembly.Module.imports(m).map((i) => i.module + ' ' + i.name).join('\\n'));";
    let imports = process::capture(Command::new("node").args(["-e", SCRIPT]).arg(module))
        .with_context(|| format!("Node cannot compile {}", module.display()))?;
    let foreign = foreign_imports(&imports);
    if !foreign.is_empty() {
        bail!(
            "the module imports from `env`, which no host provides: {}",
            foreign.join(", ")
        );
    }
    Ok(())
}

fn foreign_imports(imports: &str) -> Vec<&str> {
    imports
        .lines()
        .filter_map(|line| line.strip_prefix("env "))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_from_env_are_found() {
        assert!(foreign_imports("./mobkit_web_bg.js __wbg_log\nenvoy a").is_empty());
        assert_eq!(
            foreign_imports("wbg a\nenv malloc\nenv memcpy"),
            ["malloc", "memcpy"]
        );
    }
}
