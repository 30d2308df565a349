//! The npm workspace: which packages it has and how their scripts are run.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::paths::Paths;

/// The packages of the workspace, as directory names under `www/`, whose `package.json` has the script.
pub fn packages_with(paths: &Paths, script: &str) -> Result<Vec<String>> {
    let root = manifest(&fs::read_to_string(paths.www().join("package.json"))?)?;
    let mut found = vec![];
    for name in root["workspaces"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        // A package that is listed and not there yet is npm's to ignore, and ours.
        let Ok(text) = fs::read_to_string(paths.www().join(name).join("package.json")) else {
            continue;
        };
        let package = manifest(&text).with_context(|| format!("www/{name}/package.json"))?;
        if package["scripts"][script].is_string() {
            found.push(name.to_owned());
        }
    }
    Ok(found)
}

/// `npm run SCRIPT` in each of `packages`.
pub fn run_script(paths: &Paths, script: &str, packages: &[impl AsRef<str>]) -> Command {
    let mut command = Command::new("npm");
    command.args(["run", script]).current_dir(paths.www());
    for package in packages {
        command.args(["--workspace", package.as_ref()]);
    }
    command
}

fn manifest(text: &str) -> Result<Value> {
    serde_json::from_str(text).context("a package.json is not JSON")
}
