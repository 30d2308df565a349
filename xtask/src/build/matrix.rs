//! `wasm-pack.toml`, the build matrix.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::paths::Paths;

/// One way to make the wasm module and its glue.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Row {
    /// The crate.
    pub package: String,
    /// The form of the glue.
    pub target: Target,
    /// The crate's features.
    #[serde(default)]
    pub features: Vec<String>,
    /// Whether the crate's default features are on too.
    #[serde(default = "yes")]
    pub default_features: bool,
    /// Flags for the compiler.
    #[serde(default)]
    pub rustflags: Vec<String>,
    /// Cargo's profile.
    pub profile: String,
    /// Where the results go, from the workspace's root.
    pub output: PathBuf,
    /// Flags of `wasm-opt`; it does not run without any.
    #[serde(default)]
    pub wasm_opt: Vec<String>,
    /// Whether the module is written such that gzip makes less of it.
    #[serde(default)]
    pub compressible: bool,
    /// How many bytes everything may have after gzip.
    pub gzip_budget: Option<u64>,
}

fn yes() -> bool {
    true
}

/// A target of `wasm-bindgen` for which there is a wrapping.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// One script with one global, wrapped into a factory here.
    NoModules,
}

impl Target {
    /// As `wasm-bindgen --target` wants it.
    pub fn flag(self) -> &'static str {
        match self {
            Self::NoModules => "no-modules",
        }
    }
}

impl Row {
    /// The directory under cargo's target directory that the profile builds into.
    pub fn profile_dir(&self) -> &str {
        if self.profile == "dev" {
            "debug"
        } else {
            &self.profile
        }
    }
}

/// Reads the row called `name`.
pub fn row(paths: &Paths, name: &str) -> Result<Row> {
    let text = fs::read_to_string(paths.root.join("wasm-pack.toml"))
        .context("cannot read wasm-pack.toml")?;
    let mut rows = parse(&text)?;
    rows.remove(name)
        .with_context(|| format!("wasm-pack.toml has no row [{name}]"))
}

fn parse(text: &str) -> Result<BTreeMap<String, Row>> {
    toml::from_str(text).context("wasm-pack.toml is not a build matrix")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projects_own_matrix_is_read() {
        let rows = parse(include_str!("../../../wasm-pack.toml")).unwrap();
        assert_eq!(
            rows.keys().collect::<Vec<_>>(),
            ["dev", "edge-suite", "release"]
        );
        assert_eq!(rows["release"].profile_dir(), "release");
        assert_eq!(rows["dev"].profile_dir(), "debug");
        assert!(rows["release"].gzip_budget.is_some() && !rows["release"].wasm_opt.is_empty());
        assert_eq!(rows["dev"].output, rows["release"].output);
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            (
                "[a]\npackage = 'p'\ntarget = 'web'\nprofile = 'dev'\noutput = 'o'",
                "no-modules",
            ),
            (
                "[a]\npackage = 'p'\ntarget = 'no-modules'\nprofile = 'dev'\noutput = 'o'\nwasm-opts = []",
                "wasm-opts",
            ),
            (
                "[a]\npackage = 'p'\ntarget = 'no-modules'\nprofile = 'dev'",
                "output",
            ),
        ];
        for (text, named) in cases {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(named), "{error}");
        }
    }
}
