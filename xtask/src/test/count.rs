//! How many tests ran, read from what the test programs print.

use std::ops::Add;

/// Tests that passed, failed and were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tests that passed.
    pub passed: u32,
    /// Tests that failed.
    pub failed: u32,
    /// Tests that were ignored, skipped or not reached.
    pub skipped: u32,
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

/// Adds up the summary lines of cargo and wasm-bindgen (`test result: …`), of Node's test runner (`ℹ pass 3`, `# pass 3`) and of
/// Playwright (`  3 passed (4.1s)`).
pub fn count(output: &str) -> Counts {
    output
        .lines()
        .map(|line| line_counts(&without_colours(line)))
        .fold(Counts::default(), Add::add)
}

/// What is wrong with a suite as a whole, beside the tests that failed.
pub fn fault(output: &str, success: bool, counts: Counts) -> Option<&'static str> {
    if output.contains("browser tests so skipping") {
        // The runner leaves such a file out and calls it a success.
        return Some("a test file lacks `wasm_bindgen_test_configure!(run_in_browser)`");
    }
    if !success && counts.failed == 0 {
        return Some("ended unsuccessfully without a failed test: see its output");
    }
    if counts.passed + counts.failed == 0 {
        return Some("ran no test");
    }
    None
}

fn line_counts(line: &str) -> Counts {
    let line = line.trim();
    if let Some(result) = line.strip_prefix("test result: ") {
        return result
            .split([';', '.'])
            .map(amount_and_word)
            .fold(Counts::default(), Add::add);
    }
    if let Some(rest) = line.strip_prefix("ℹ ").or_else(|| line.strip_prefix("# ")) {
        return word_and_amount(rest);
    }
    // Playwright's lines hold nothing but the amount, the word and perhaps the time.
    let bare = line.split_once(" (").map_or(line, |(bare, _)| bare);
    amount_and_word(bare)
}

/// `3 passed`, `1 did not run`
fn amount_and_word(text: &str) -> Counts {
    let Some((amount, word)) = text.trim().split_once(' ') else {
        return Counts::default();
    };
    amount
        .parse()
        .map_or(Counts::default(), |amount| named(word, amount))
}

/// `pass 3`
fn word_and_amount(text: &str) -> Counts {
    let Some((word, amount)) = text.trim().split_once(' ') else {
        return Counts::default();
    };
    let word = match word {
        "pass" => "passed",
        "fail" | "cancelled" => "failed",
        "skipped" | "todo" => "skipped",
        _ => return Counts::default(),
    };
    amount
        .parse()
        .map_or(Counts::default(), |amount| named(word, amount))
}

fn named(word: &str, amount: u32) -> Counts {
    match word {
        "passed" => Counts {
            passed: amount,
            ..Counts::default()
        },
        // A test that passes only when it is repeated does not work.
        "failed" | "flaky" | "interrupted" => Counts {
            failed: amount,
            ..Counts::default()
        },
        "ignored" | "skipped" | "did not run" => Counts {
            skipped: amount,
            ..Counts::default()
        },
        _ => Counts::default(),
    }
}

/// The line without terminal escapes (`ESC [ … m`).
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + part.split_once('m').map_or(part, |(_, rest)| rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_counted() {
        let cases = [
            (
                "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s",
                (12, 0, 1),
            ),
            (
                "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
                (3, 2, 0),
            ),
            (
                "test result: ok. 5 passed; 0 failed; 0 ignored; 0 filtered out; finished in 0.52s\n\ntest result: ok. 2 passed; 0 failed; 0 ignored",
                (7, 0, 0),
            ),
            (
                "ℹ tests 6\nℹ suites 0\nℹ pass 4\nℹ fail 1\nℹ cancelled 0\nℹ skipped 1\nℹ todo 0",
                (4, 1, 1),
            ),
            ("# tests 2\n# pass 2\n# fail 0", (2, 0, 0)),
            (
                "  1 failed\n    [chromium] › a.spec.ts:3:1 › loads\n  2 skipped\n  7 passed (4.1s)\n",
                (7, 1, 2),
            ),
            (
                "  1 flaky\n  1 did not run\n  1 interrupted\n  1 passed (1.0m)",
                (1, 2, 1),
            ),
            (
                "\u{1b}[32m  4 passed\u{1b}[39m\u{1b}[2m (3.0s)\u{1b}[22m",
                (4, 0, 0),
            ),
        ];
        for (output, (passed, failed, skipped)) in cases {
            assert_eq!(
                count(output),
                Counts {
                    passed,
                    failed,
                    skipped
                },
                "{output}"
            );
        }
    }

    #[test]
    fn a_suite_that_did_not_test_what_it_should_is_at_fault() {
        let counts = |passed, failed| Counts {
            passed,
            failed,
            skipped: 0,
        };
        assert_eq!(fault("", true, counts(3, 0)), None);
        assert_eq!(
            fault("", false, counts(3, 1)),
            None,
            "the failed test is counted already"
        );
        assert_eq!(fault("", true, counts(0, 0)), Some("ran no test"));
        assert!(
            fault("error: could not compile", false, counts(3, 0))
                .unwrap()
                .contains("unsuccessfully")
        );
        let skipped = "we're only running\n    browser tests so skipping. If you'd like";
        assert!(
            fault(skipped, true, counts(3, 0))
                .unwrap()
                .contains("run_in_browser")
        );
    }

    #[test]
    fn other_lines_count_nothing() {
        for line in [
            "",
            "running 12 tests",
            "test a::b ... ok",
            "no tests to run!",
            "12 packages",
            "# Subtest: 3 passed through",
            "we saw 3 passed tests",
            "3 passed through the gate",
        ] {
            assert_eq!(count(line), Counts::default(), "{line}");
        }
    }
}
