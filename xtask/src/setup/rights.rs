//! What this user may change on the machine.

use std::process::Command;

use crate::{paths, process};

/// How a command that changes the system may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// This user is root.
    Root,
    /// `sudo` answers without asking for a password.
    Sudo,
    /// Neither: a person has to run the command.
    Nobody,
}

impl Rights {
    /// Looks at this user.
    pub fn find() -> Self {
        let user = process::capture(Command::new("id").arg("-u"));
        if user.as_deref() == Some("0") {
            Self::Root
        } else if paths::which("sudo").is_some()
            && process::capture(Command::new("sudo").args(["-n", "true"])).is_some()
        {
            Self::Sudo
        } else {
            Self::Nobody
        }
    }

    /// A command with these rights; the environment comes as `NAME=value` words of `env`, which `sudo` passes on.
    pub fn command(self, words: &[&str]) -> Option<Command> {
        let mut all = match self {
            Self::Root => vec![],
            Self::Sudo => vec!["sudo", "-n"],
            Self::Nobody => return None,
        };
        all.extend(words);
        let mut command = Command::new(all.first()?);
        command.args(&all[1..]);
        Some(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_called_as_the_rights_allow() {
        let line = |rights: Rights| {
            rights
                .command(&["env", "A=b", "apt-get", "update"])
                .map(|command| process::show(&command))
        };
        assert_eq!(
            line(Rights::Root).as_deref(),
            Some("env A=b apt-get update")
        );
        assert_eq!(
            line(Rights::Sudo).as_deref(),
            Some("sudo -n env A=b apt-get update")
        );
        assert_eq!(line(Rights::Nobody), None);
    }
}
