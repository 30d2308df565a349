//! Where things are: the workspace, cargo's target directory, the web packages, the tools this project installs.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

/// The directories that every command works with.
pub struct Paths {
    /// The root of the workspace.
    pub root: PathBuf,
    /// Cargo's target directory (it may lie outside the workspace).
    pub target: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

impl Paths {
    /// Asks cargo, so that `CARGO_TARGET_DIR` and cargo's configuration are honoured.
    pub fn find() -> Result<Self> {
        // Read when run, not when compiled: two checkouts may share one target directory.
        let manifest_dir =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from);
        let json = process::capture(
            Command::new("cargo")
                .args(["metadata", "--no-deps", "--format-version", "1"])
                .current_dir(manifest_dir),
        )
        .context("`cargo metadata` failed: run `cargo xtask` inside the project")?;
        let metadata: Metadata = serde_json::from_str(&json)
            .context("`cargo metadata` answered something unexpected")?;
        Ok(Self {
            root: metadata.workspace_root,
            target: metadata.target_directory,
        })
    }

    /// The npm workspace.
    pub fn www(&self) -> PathBuf {
        self.root.join("www")
    }

    /// An executable that a package of the npm workspace brings along.
    pub fn npm_bin(&self, name: &str) -> PathBuf {
        self.www().join("node_modules/.bin").join(name)
    }

    /// Files that xtask itself produces, beside cargo's own.
    pub fn scratch(&self) -> PathBuf {
        self.target.join("xtask")
    }
}

/// Where this user keeps the tools that setup compiles: outside the checkout, so that a fresh clone finds them again, and one directory for
/// each version, so that other projects' tools are left alone.
pub fn tool_root(name: &str, version: &str) -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .unwrap_or_else(env::temp_dir);
    cache.join("mobkit-web").join(format!("{name}-{version}"))
}

/// The first executable called `name` on `PATH`.
pub fn which(name: &str) -> Option<PathBuf> {
    which_in(&env::var_os("PATH")?, name)
}

/// The first executable called `name` in the directories of a `PATH`.
pub fn which_in(path: &OsStr, name: &str) -> Option<PathBuf> {
    env::split_paths(path)
        .map(|dir| dir.join(name))
        .find(|path| is_executable(path))
}

/// Whether `path` is a file that may be run.
pub fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
