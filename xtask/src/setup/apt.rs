//! Debian packages: what is missing is installed where this user may, and named where not.

use anyhow::{Result, bail};

use super::rights::Rights;
use super::{missing, ready};
use crate::{paths, process};

/// The package manager, which reads its lists at most once in a run.
#[derive(Default)]
pub struct Apt {
    updated: bool,
}

impl Apt {
    /// Makes sure that one of the executables `names` is on `PATH`, by installing `package` if none is.
    pub fn ensure(&mut self, what: &str, names: &[&str], package: &str) -> Result<()> {
        let found = || names.iter().find_map(|name| paths::which(name));
        if let Some(path) = found() {
            ready(what, &path.display().to_string());
            return Ok(());
        }
        missing(what, &format!("no {} on PATH", names.join(", ")));
        self.install(&[package])?;
        match found() {
            Some(_) => Ok(()),
            None => bail!(
                "the package {package} is installed, but no {} is on PATH",
                names.join(", ")
            ),
        }
    }

    /// Installs packages, without those they merely recommend.
    pub fn install(&mut self, packages: &[&str]) -> Result<()> {
        let by_hand = by_hand(packages);
        if paths::which("apt-get").is_none() {
            bail!(
                "this is not a Debian machine: install in your system's way what these Debian packages bring ({}), then run the command again",
                packages.join(", ")
            );
        }
        let rights = Rights::find();
        let apt_get = |args: &[&str]| {
            // apt's questions have nobody to answer them.
            let words: Vec<&str> = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
                .iter()
                .chain(args)
                .copied()
                .collect();
            rights.command(&words)
        };
        let install: Vec<&str> = ["install", "-q", "-y", "--no-install-recommends"]
            .iter()
            .chain(packages)
            .copied()
            .collect();
        let (Some(mut update), Some(mut install)) = (apt_get(&["update", "-q"]), apt_get(&install))
        else {
            bail!("this user may not install packages: run `{by_hand}`, then the command again");
        };
        if !self.updated {
            process::run(&mut update)?;
            self.updated = true;
        }
        process::run(&mut install)
    }
}

/// What a person types to install `packages`.
fn by_hand(packages: &[&str]) -> String {
    format!(
        "sudo apt-get update && sudo apt-get install --no-install-recommends {}",
        packages.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_that_is_there_needs_no_package() {
        Apt::default()
            .ensure(
                "a shell",
                &["no-such-shell-here", "sh"],
                "no-such-package-here",
            )
            .unwrap();
    }

    #[test]
    fn the_command_for_a_person_names_every_package() {
        assert_eq!(
            by_hand(&["a", "b"]),
            "sudo apt-get update && sudo apt-get install --no-install-recommends a b"
        );
    }
}
