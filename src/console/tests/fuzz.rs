//! A million requests that nobody would send. Each round is a mob of its own, made from a seed: requests by grammar and by
//! mutation of the golden ones go to it, several at a time, and every answer must be one that the contract knows.
//!
//! `MOBKIT_FUZZ_INPUTS` says how many, `MOBKIT_FUZZ_SEED` which seed the first round has. What fails prints both, so that
//! it can be done again.

mod check;
mod grammar;
mod mutate;
mod parsers;
mod words;
mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fmt, iter, thread};

use futures::future::{FutureExt, LocalBoxFuture, poll_fn};
use futures::stream::FuturesUnordered;

use super::*;
use crate::runtime::{Role, TaskState};
use crate::shim::Host;
use crate::sim::SimDisk;
use grammar::{Grammar, Learned};
use world::open_for;

/// Inputs of one round: few enough that what fails is soon done again, enough for logs to be cut and members to come and go.
const ROUND: u64 = 1_000;
/// Inputs after that to the runtime that was shut down.
const CLOSED: u64 = 20;
/// Inputs when nothing is said.
const INPUTS: u64 = 100_000;
/// How long an answer may take on the clock of the simulation: longer than a model may be silent.
const PATIENCE: Duration = Duration::from_secs(1_200);
/// A stream says every 15 s that it is there.
const SILENCE: Duration = Duration::from_secs(60);
/// Polls at one instant, and polls until an answer comes.
const STEPS: u64 = 2_000_000;
/// Real time without any answer, after which something runs in circles inside of a poll.
const STANDSTILL: Duration = Duration::from_secs(120);
/// Members that a round may come to: its names are few.
const MEMBERS: usize = 400;

/// Which round is next, and how many inputs were sent.
#[derive(Default)]
struct Progress {
    next: AtomicU64,
    sent: AtomicU64,
}

/// What is asked now, and the last that was: printed when the test fails.
#[derive(Default)]
struct Asked {
    seed: u64,
    last: u64,
    open: BTreeMap<u64, FetchRequest>,
}

impl Asked {
    fn begin(&mut self, number: u64, request: &FetchRequest) {
        self.last = number;
        self.open.insert(number, request.clone());
    }
}

struct Report<'a>(Rc<RefCell<Asked>>, &'a Progress);

impl Drop for Report<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            // The other threads end with the rounds that they are at.
            self.1.next.store(u64::MAX / 2, Ordering::Relaxed);
            eprintln!("{}", self.0.borrow());
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, inputs) = (self.seed, self.last + 1);
        writeln!(
            f,
            "MOBKIT_FUZZ_SEED={seed} MOBKIT_FUZZ_INPUTS={inputs} does it again. Open were:"
        )?;
        for (number, request) in &self.open {
            let body = String::from_utf8_lossy(&request.body);
            let text = format!(
                "{} {} {:?}\n{body:?}",
                request.method, request.url, request.headers
            );
            let shown: String = text.chars().take(4_000).collect();
            writeln!(f, "{number}: {} bytes of body, {shown}", request.body.len())?;
        }
        Ok(())
    }
}

/// One round.
struct Fuzz {
    sim: Rc<Sim>,
    host: Host,
    runtime: UnifiedRuntime,
    random: SimRandom,
    learned: Learned,
    asked: Rc<RefCell<Asked>>,
    streams: RefCell<Vec<LocalBoxStream<'static, Vec<u8>>>>,
}

impl Fuzz {
    fn learn(&self, answer: &Value) {
        for (name, list) in [
            ("interaction_id", &self.learned.interactions),
            ("session_id", &self.learned.sessions),
            ("pending_id", &self.learned.pending),
            ("next_pending_id", &self.learned.pending),
        ] {
            if let Some(id) = answer["result"][name].as_str() {
                Learned::learn(list, id);
            }
        }
        let result = &answer["result"];
        if result["route_id"].is_string() && result["channel"].is_string() {
            Learned::learn(&self.learned.resolutions, &result.to_string());
        }
        for entry in result["pending"].as_array().into_iter().flatten() {
            let id = entry["pending_id"].as_str().unwrap_or_default();
            Learned::learn(&self.learned.pending, id);
        }
        for event in result["events"].as_array().into_iter().flatten() {
            if let Some(id) = event["event_id"].as_str() {
                Learned::learn(&self.learned.events, id);
            }
        }
    }

    fn is_closed(&self) -> bool {
        self.runtime.role() == Role::Closed
    }

    /// Sends a request and checks what comes back.
    async fn play(&self, request: FetchRequest, patience: u64) -> Result<(), String> {
        let steps = self.sim.steps();
        let may_wait = check::may_wait(&request);
        let mut polls = 0;
        let mut answer = fetch(&self.runtime, request.clone()).boxed_local();
        let given_up = poll_fn(|cx| {
            polls += 1;
            // Whoever asked has gone.
            if polls > patience {
                return std::task::Poll::Ready(None);
            }
            answer.poll_unpin(cx).map(Some)
        });
        let first = self.host.timeout(PATIENCE, given_up).await;
        let response = match first {
            Ok(None) => return Ok(()),
            Ok(Some(response)) => response,
            Err(_) if may_wait && (self.random.chance(1, 2) || check::waits_by_clock(&request)) => {
                return Ok(());
            }
            Err(_) if may_wait => {
                // Nothing that it could wait for is left then.
                self.runtime.cancel_all().await.map_err(|e| e.to_string())?;
                let late = self.host.timeout(PATIENCE, answer).await;
                late.map_err(|_| "it waits for what was cancelled")?
            }
            Err(_) => return Err("no answer".to_owned()),
        };
        if self.sim.steps() - steps > STEPS {
            return Err(format!(
                "{} steps until the answer",
                self.sim.steps() - steps
            ));
        }
        match response.body {
            FetchBody::Stream(body) => {
                let kind = ("content-type", "text/event-stream".to_owned());
                if response.status != 200 || !response.headers.contains(&kind) {
                    return Err(format!("a stream with {}", response.status));
                }
                self.streams.borrow_mut().push(body);
                Ok(())
            }
            FetchBody::Full(bytes) => {
                let address = Address::parse(&request.url);
                let is_rpc = request.method.eq_ignore_ascii_case("post")
                    && address.is_ok_and(|address| address.path == "/console/rpc");
                let is_closed = self.is_closed();
                let checked = match is_rpc {
                    true if response.status != 200 => Err(format!("status {}", response.status)),
                    true => check::rpc(&request.body, &bytes, is_closed, |answer| {
                        self.learn(answer)
                    }),
                    false => check::http(
                        &request.url,
                        response.status,
                        &response.headers,
                        &bytes,
                        is_closed,
                    ),
                };
                checked.map_err(|wrong| {
                    let shown: String = String::from_utf8_lossy(&bytes)
                        .chars()
                        .take(2_000)
                        .collect();
                    format!("{wrong}\nthe answer was {shown}")
                })
            }
        }
    }

    /// Reads a little from a stream, and keeps it or not.
    async fn hear(&self) -> Result<(), String> {
        let at = match self.streams.borrow().len() as u64 {
            0 => return Ok(()),
            len => self.random.below(len) as usize,
        };
        let mut stream = self.streams.borrow_mut().swap_remove(at);
        for _ in 0..self.random.below(4) {
            let steps = self.sim.steps();
            let next = self.host.timeout(SILENCE, stream.next()).await;
            let next = next.map_err(|_| "a stream is silent")?;
            if self.sim.steps() - steps > STEPS {
                return Err("a stream takes too many steps".to_owned());
            }
            match next {
                None => return Ok(()),
                Some(chunk) => check::chunk(&chunk, self.is_closed(), |id| {
                    Learned::learn(&self.learned.ids, id)
                })?,
            }
        }
        if self.streams.borrow().len() < 8 && !self.random.chance(1, 4) {
            self.streams.borrow_mut().push(stream);
        }
        Ok(())
    }

    /// What holds whatever is asked.
    fn check_mob(&self) {
        let members: BTreeSet<_> = self
            .runtime
            .members()
            .iter()
            .map(|m| m.agent_identity.to_string())
            .collect();
        assert_eq!(
            members.len(),
            self.runtime.members().len(),
            "a name is in the roster twice"
        );
        assert!(members.len() <= MEMBERS, "{} members", members.len());
        *self.learned.members.borrow_mut() = members.iter().cloned().collect();
        for edge in self.runtime.list_edges() {
            let is_known = |name: &str| members.contains(name);
            assert!(
                is_known(edge.a.as_str()) && is_known(edge.b.as_str()),
                "{edge:?} leads nowhere"
            );
        }
        for task in self.runtime.status().tasks {
            assert!(
                task.state == TaskState::Running && task.error.is_none(),
                "{task:?}"
            );
        }
    }

    async fn run(&self, inputs: Range<u64>, corpus: &[FetchRequest], progress: &Progress) {
        let grammar = Grammar {
            random: &self.random,
            learned: &self.learned,
        };
        let mut open: FuturesUnordered<LocalBoxFuture<'_, ()>> = FuturesUnordered::new();
        for number in inputs {
            let request = match self.random.chance(2, 5) {
                true => grammar.mutant(corpus),
                false => grammar.request(),
            };
            self.asked.borrow_mut().begin(number, &request);
            let patience = match self.random.chance(1, 30) {
                true => self.random.below(4),
                false => u64::MAX,
            };
            let play = self.play(request, patience).map(move |done| {
                if let Err(wrong) = done {
                    panic!("input {number}: {wrong}");
                }
                self.asked.borrow_mut().open.remove(&number);
            });
            open.push(play.boxed_local());
            let most = self.random.below(8) as usize;
            while open.len() > most {
                open.next().await;
            }
            match self.random.below(40) {
                0 => {
                    self.host
                        .sleep(Duration::from_millis(self.random.below(2_000)))
                        .await
                }
                1..10 => self.host.yield_now().await,
                10..18 => {
                    let hear = self.hear().map(move |heard| {
                        heard.unwrap_or_else(|wrong| panic!("after input {number}: {wrong}"));
                    });
                    open.push(hear.boxed_local());
                }
                _ => {}
            }
            if number.is_multiple_of(32) {
                self.check_mob();
            }
            progress.sent.fetch_add(1, Ordering::Relaxed);
        }
        while open.next().await.is_some() {}
    }

    /// After everything the mob is a mob.
    async fn check_end(&self) {
        ok(&self.runtime, "mobkit/status", json!({})).await;
        ok(&self.runtime, "mobkit/resume", json!({})).await;
        ok(&self.runtime, "mobkit/cancel_all", json!({})).await;
        let last = json!({"profile": "worker", "identity": "the-last"});
        ok(&self.runtime, "mobkit/spawn_member", last).await;
        let message = json!({"member_id": "the-last", "content": "hello"});
        let sent = ok(&self.runtime, "mobkit/send_message", message).await;
        let wait = json!({ "interaction_id": sent["interaction_id"] });
        let outcome = ok(&self.runtime, "mobkit/wait_interaction", wait).await;
        assert_eq!(
            (&outcome["status"], &outcome["result"]),
            (&json!("completed"), &json!("echo: hello"))
        );
        self.check_mob();
    }
}

fn round(seed: u64, inputs: u64, corpus: &[FetchRequest], progress: &Progress) {
    let sim = Rc::new(Sim::new(seed));
    sim.set_step_limit(STEPS);
    let asked = Rc::new(RefCell::new(Asked {
        seed,
        ..Asked::default()
    }));
    let _report = Report(asked.clone(), progress);
    let disk = SimDisk::new();
    sim.block_on(async {
        let fuzz = Fuzz {
            sim: sim.clone(),
            host: sim.host(),
            runtime: open_for(seed, &sim, &disk).await,
            random: SimRandom::new(!seed),
            learned: Learned::default(),
            asked,
            streams: RefCell::default(),
        };
        fuzz.run(0..inputs, corpus, progress).await;
        fuzz.check_end().await;
        let rows = |runtime: &UnifiedRuntime| {
            let members = runtime.members();
            members
                .iter()
                .map(|m| (m.agent_identity.clone(), m.role.clone(), m.labels.clone()))
                .collect::<Vec<_>>()
        };
        let (before, labels) = (rows(&fuzz.runtime), fuzz.runtime.get_mob_labels());
        fuzz.runtime.shutdown().await;
        // Who still asks then is answered as well.
        fuzz.run(inputs..inputs + CLOSED, corpus, progress).await;
        drop(fuzz);
        let again = open_for(seed, &sim, &disk).await;
        let (missing, after) = (before, rows(&again));
        for row in missing {
            assert!(after.contains(&row), "{row:?} is lost at the next start");
        }
        assert_eq!(again.get_mob_labels(), labels);
        ok(&again, "mobkit/status", json!({})).await;
        again.shutdown().await;
    });
}

#[test]
fn every_method_is_fuzzed() {
    with_runtime(async |runtime, _| {
        let capabilities = ok(&runtime, "mobkit/capabilities", json!({})).await;
        let fuzzed: Vec<_> = words::METHODS.iter().map(|(_, name, _)| *name).collect();
        assert_eq!(capabilities["methods"], json!(fuzzed));
    });
}

fn number_of(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number")),
    )
}

#[test]
fn no_input_panics_or_hangs() {
    let first = number_of("MOBKIT_FUZZ_SEED").unwrap_or(1);
    let inputs = number_of("MOBKIT_FUZZ_INPUTS").unwrap_or(INPUTS);
    let rounds = inputs.div_ceil(ROUND);
    let progress = Progress::default();
    let threads = thread::available_parallelism().map_or(1, |count| count.get().min(8));
    let work = || {
        let corpus = mutate::corpus();
        loop {
            let round_number = progress.next.fetch_add(1, Ordering::Relaxed);
            if round_number >= rounds {
                return;
            }
            let inputs = (inputs - round_number * ROUND).min(ROUND);
            round(first.wrapping_add(round_number), inputs, &corpus, &progress);
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = iter::repeat_with(|| scope.spawn(work))
            .take(threads)
            .collect();
        let (mut seen, mut since) = (0, Instant::now());
        while workers.iter().any(|worker| !worker.is_finished()) {
            thread::sleep(Duration::from_millis(20));
            let now = progress.sent.load(Ordering::Relaxed);
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            if since.elapsed() > STANDSTILL {
                // A poll that does not return cannot be ended from outside.
                eprintln!(
                    "a round runs in circles; begun were the seeds up to {}",
                    first.wrapping_add(progress.next.load(Ordering::Relaxed))
                );
                std::process::abort();
            }
        }
    });
}
