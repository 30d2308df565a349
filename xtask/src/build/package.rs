//! The npm package in `target/npm/`, ready for `npm pack`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::paths::Paths;
use crate::process;

/// Copies a `package.json` without what is for work on the package and not for its use. It runs in Node, because the order of the
/// conditions in `exports` has a meaning and must be kept.
const PUBLISHED: &str = "const { readFileSync, writeFileSync } = require('fs');\
                         const manifest = JSON.parse(readFileSync(process.argv[1], 'utf8'));\
                         for (const field of ['private', 'scripts', 'devDependencies']) delete manifest[field];\
                         writeFileSync(process.argv[2], JSON.stringify(manifest, null, 2) + '\\n');";

/// Copies from the built `www/sdk` what its `package.json` lists, with licences and README.
pub fn assemble(paths: &Paths) -> Result<PathBuf> {
    let source = paths.www().join("sdk");
    let output = paths.root.join("target/npm");
    if output.exists() {
        fs::remove_dir_all(&output).context("cannot empty target/npm")?;
    }
    fs::create_dir_all(&output)?;
    publish_manifest(&source.join("package.json"), &output.join("package.json"))?;
    let text = fs::read_to_string(output.join("package.json"))
        .context("cannot read the package's package.json")?;
    let manifest: Value =
        serde_json::from_str(&text).context("www/sdk/package.json is not JSON")?;
    for listed in manifest["files"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        copy(&source.join(listed), &output.join(listed))
            .with_context(|| format!("www/sdk/package.json lists `{listed}`"))?;
    }
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        fs::copy(paths.root.join(licence), output.join(licence))?;
    }
    let readme = [source.join("README.md"), paths.root.join("README.md")]
        .into_iter()
        .find(|path| path.exists());
    fs::copy(
        readme.context("there is no README.md")?,
        output.join("README.md"),
    )?;

    let absent: Vec<String> = entry_points(&manifest)
        .into_iter()
        .filter(|path| !output.join(path).is_file())
        .collect();
    if !absent.is_empty() {
        bail!(
            "the package names files that it does not have: {}",
            absent.join(", ")
        );
    }
    Ok(output)
}

fn publish_manifest(from: &Path, to: &Path) -> Result<()> {
    let mut node = Command::new("node");
    node.args(["-e", PUBLISHED]).args([from, to]);
    process::capture(&mut node).with_context(|| format!("Node cannot read {}", from.display()))?;
    Ok(())
}

/// Every file that `exports`, `main`, `module` and `types` point to.
fn entry_points(manifest: &Value) -> Vec<String> {
    let mut found = vec![];
    for field in ["exports", "main", "module", "types"] {
        collect_paths(&manifest[field], &mut found);
    }
    found.sort();
    found.dedup();
    found
}

fn collect_paths(value: &Value, found: &mut Vec<String>) {
    match value {
        // A pattern stands for any number of files.
        Value::String(path) if !path.contains('*') => {
            found.push(path.trim_start_matches("./").to_owned())
        }
        Value::Object(fields) => fields
            .values()
            .for_each(|field| collect_paths(field, found)),
        Value::Array(items) => items.iter().for_each(|item| collect_paths(item, found)),
        _ => {}
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// All files below `dir` with the ending, in the order of their names.
pub fn files_below(dir: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = vec![];
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files_below(&path, ending)?);
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_published_manifest_keeps_its_order_and_loses_development_fields() {
        let dir = std::env::temp_dir().join(format!("mobkit-package-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (from, to) = (dir.join("from.json"), dir.join("to.json"));
        let manifest = r#"{"private":true,"exports":{"types":"a","default":"b"},"scripts":{},"devDependencies":{},"a":1}"#;
        fs::write(&from, manifest).unwrap();
        publish_manifest(&from, &to).unwrap();
        let written = fs::read_to_string(&to)
            .unwrap()
            .split_whitespace()
            .collect::<String>();
        assert_eq!(written, r#"{"exports":{"types":"a","default":"b"},"a":1}"#);
        fs::write(&from, "{").unwrap();
        assert!(publish_manifest(&from, &to).is_err());
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn entry_points_are_found_at_every_depth() {
        let manifest = json!({
            "types": "./dist/index.d.ts",
            "exports": {
                ".": { "types": "./dist/index.d.ts", "default": "./dist/index.js" },
                "./worker": { "browser": { "default": "./dist/worker.js" } },
                "./any/*": "./any/*.js",
                "./none": null,
            },
        });
        assert_eq!(
            entry_points(&manifest),
            ["dist/index.d.ts", "dist/index.js", "dist/worker.js"]
        );
    }
}
