//! Node and the npm workspace under `www/`.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{missing, ready};
use crate::paths::Paths;
use crate::process;

/// The oldest Node that the web packages' tools run on.
const NODE_MAJOR: u32 = 20;

/// Makes sure that Node is there and `www/node_modules` is what the lockfile says.
pub fn ensure(paths: &Paths) -> Result<()> {
    let advice = format!(
        "install Node {NODE_MAJOR} or newer with npm (nodejs.org), then run the command again"
    );
    let Some(version) = process::capture(Command::new("node").arg("--version")) else {
        bail!("there is no `node` on PATH: {advice}");
    };
    if major(&version).is_none_or(|major| major < NODE_MAJOR) {
        bail!("Node {version} is too old: {advice}");
    }
    ready("node", &version);

    let www = paths.www();
    let lock =
        fs::read(www.join("package-lock.json")).context("cannot read www/package-lock.json")?;
    // The lockfile that was installed last is kept beside the packages: comparing contents is surer than comparing times.
    let installed = www.join("node_modules/.installed-lock.json");
    if fs::read(&installed).is_ok_and(|last| last == lock) {
        ready("npm packages", "as www/package-lock.json says");
        return Ok(());
    }
    missing(
        "npm packages",
        "www/node_modules is not what www/package-lock.json says",
    );
    process::run(
        Command::new("npm")
            .args(["ci", "--no-fund", "--no-audit", "--no-progress"])
            .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
            .current_dir(&www),
    )
    .context("if the lockfile does not fit the package.json files, run `npm install` in www/ and commit the lockfile")?;
    fs::create_dir_all(www.join("node_modules"))?;
    fs::write(&installed, lock).with_context(|| format!("cannot write {}", installed.display()))
}

/// The major number in `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    version
        .trim()
        .strip_prefix('v')?
        .split('.')
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read() {
        for (version, expected) in [
            ("v20.20.2", Some(20)),
            ("v8.1.0\n", Some(8)),
            ("20.1.0", None),
            ("v", None),
            ("", None),
        ] {
            assert_eq!(major(version), expected, "{version:?}");
        }
    }
}
