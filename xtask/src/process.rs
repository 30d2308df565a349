//! Running other programs: shown before they run, streamed while they run, with errors that name them.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The command line as a person would type it.
pub fn show(command: &Command) -> String {
    let quote = |text: String| {
        if text.is_empty() || text.contains([' ', '"', '\'', '$', '&', ';', '*', '(', '|']) {
            format!("'{}'", text.replace('\'', r"'\''"))
        } else {
            text
        }
    };
    let program = command.get_program().to_string_lossy().into_owned();
    std::iter::once(program)
        .chain(
            command
                .get_args()
                .map(|arg| arg.to_string_lossy().into_owned()),
        )
        .map(quote)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs to the end with the output going straight through; an unsuccessful end is an error.
pub fn run(command: &mut Command) -> Result<()> {
    println!("  $ {}", show(command));
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start `{}`", command.get_program().to_string_lossy()))?;
    if !status.success() {
        bail!("`{}` failed ({status})", show(command));
    }
    Ok(())
}

/// Runs quietly and returns what was written to stdout, trimmed; `None` if it cannot start or ends unsuccessfully.
pub fn capture(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// How a streamed program ended.
pub struct Finished {
    /// Whether it ended with exit code 0, in time.
    pub success: bool,
    /// Whether it was stopped for taking longer than its limit.
    pub timed_out: bool,
    /// All it wrote, stdout and stderr interleaved as they came.
    pub output: String,
}

/// Runs with the output both shown and kept. After `limit` the program and everything it started is stopped.
pub fn stream(command: &mut Command, limit: Duration) -> Result<Finished> {
    println!("  $ {}", show(command));
    // A group of its own lets the limit end browsers too; at a terminal it would also take away Ctrl-C.
    let own_group = !std::io::stdin().is_terminal();
    if own_group {
        command.process_group(0);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", command.get_program().to_string_lossy()))?;
    let kept = Arc::new(Mutex::new(Vec::new()));
    let readers = [
        child
            .stdout
            .take()
            .map(|pipe| tee(pipe, std::io::stdout(), Arc::clone(&kept))),
        child
            .stderr
            .take()
            .map(|pipe| tee(pipe, std::io::stderr(), Arc::clone(&kept))),
    ];

    let deadline = Instant::now() + limit;
    let mut timed_out = false;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            timed_out = true;
            stop(&mut child, own_group)?;
            break child.wait()?;
        }
        thread::sleep(Duration::from_millis(50));
    };
    // A browser that outlives its test may hold the pipes open: what it still says is of no interest.
    let grace = Instant::now() + Duration::from_secs(5);
    for reader in readers.into_iter().flatten() {
        while !reader.is_finished() && Instant::now() < grace {
            thread::sleep(Duration::from_millis(10));
        }
    }
    let bytes = kept
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(Finished {
        success: status.success() && !timed_out,
        timed_out,
        output: String::from_utf8_lossy(&bytes).into_owned(),
    })
}

fn stop(child: &mut Child, own_group: bool) -> Result<()> {
    if own_group {
        // The group's id is the child's, and the child has not been waited for, so the number is still its own.
        let _ = Command::new("kill")
            .args(["-KILL", "--", &format!("-{}", child.id())])
            .status();
    }
    child
        .kill()
        .context("cannot stop a program that took too long")
}

fn tee(
    pipe: impl Read + Send + 'static,
    mut shown: impl Write + Send + 'static,
    kept: Arc<Mutex<Vec<u8>>>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            // A closed terminal must not stop the counting.
            let _ = shown.write_all(&line).and_then(|()| shown.flush());
            kept.lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .append(&mut line);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_shown_with_its_quotes() {
        let mut command = Command::new("npm");
        command.args(["run", "a b", "", "it's"]);
        assert_eq!(show(&command), r"npm run 'a b' '' 'it'\''s'");
    }

    #[test]
    fn both_outputs_and_the_exit_code_are_kept() {
        let finished = stream(
            Command::new("sh").args(["-c", "echo one; echo two >&2; exit 3"]),
            Duration::from_secs(20),
        )
        .unwrap();
        assert!(!finished.success && !finished.timed_out);
        assert!(finished.output.contains("one\n") && finished.output.contains("two\n"));
    }

    #[test]
    fn a_program_over_its_limit_is_stopped_and_what_it_said_is_kept() {
        let started = Instant::now();
        let finished = stream(
            Command::new("sh").args(["-c", "echo begun; exec sleep 60"]),
            Duration::from_millis(300),
        )
        .unwrap();
        assert!(finished.timed_out && !finished.success);
        assert!(started.elapsed() < Duration::from_secs(20));
        assert_eq!(finished.output, "begun\n");
    }

    #[test]
    fn capture_is_none_for_a_failure_and_for_a_missing_program() {
        assert_eq!(
            capture(Command::new("sh").args(["-c", "echo out; exit 0"])).as_deref(),
            Some("out")
        );
        assert_eq!(capture(Command::new("sh").args(["-c", "exit 1"])), None);
        assert_eq!(capture(&mut Command::new("no-such-program-here")), None);
    }
}
