//! The suite that every [`Storage`] adapter passes.
//!
//! ```
//! use mobkit_web::storage::{MemoryStorage, conformance};
//! futures::executor::block_on(async {
//!     for case in conformance::CASES {
//!         let storage = std::rc::Rc::new(MemoryStorage::new());
//!         case.run(storage).await;
//!     }
//! });
//! ```

use std::ops::Bound;
use std::rc::Rc;

use futures::StreamExt;
use futures::future::{FutureExt, LocalBoxFuture, join, join_all};

use super::batch::Batch;
use super::error::StorageError;
use super::key::Key;
use super::lease::{take_token, token_key, token_value};
use super::migrations;
use super::port::{ClosedReason, Durability, Storage, export, scan_all};
use super::range::{Direction, KeyRange};

/// One case of the suite; it is given an open connection to a storage without rows.
#[derive(Clone, Copy)]
pub struct Case {
    /// What the case shows, in `snake_case`.
    pub name: &'static str,
    body: fn(Rc<dyn Storage>) -> LocalBoxFuture<'static, ()>,
}

impl Case {
    /// Runs the case.
    ///
    /// # Panics
    /// If the adapter does not conform; the message says how.
    pub async fn run(&self, storage: Rc<dyn Storage>) {
        (self.body)(storage).await;
    }
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Case").field(&self.name).finish()
    }
}

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// Every case.
        pub const CASES: &[Case] = &[$(Case {
            name: stringify!($name),
            body: |storage| $name(storage).boxed_local(),
        }),*];
    };
}

cases![
    rows_come_back,
    a_batch_is_all_or_nothing,
    checks_look_at_the_rows_before_the_batch,
    later_writes_win,
    ranges_are_deleted,
    scans_follow_key_order,
    scans_page_in_both_directions,
    every_printable_character_sorts_alike,
    values_are_any_bytes,
    a_large_value_is_kept,
    what_is_too_large_or_misnamed_is_refused,
    calls_take_effect_in_order,
    one_of_many_takers_wins,
    tokens_fence,
    a_fresh_storage_migrates,
    a_closed_connection_says_so,
];

fn key(text: &str) -> Key {
    Key::parse(text).expect("the suite's keys are valid")
}

async fn put(storage: &dyn Storage, rows: &[(&str, &[u8])]) {
    let mut batch = Batch::new();
    for (name, value) in rows {
        batch.put(key(name), value.to_vec());
    }
    let outcome = storage.commit(batch, Durability::Relaxed).await;
    assert_eq!(outcome, Ok(()), "a put without checks is committed");
}

async fn names(storage: &dyn Storage, range: KeyRange, direction: Direction) -> Vec<String> {
    let rows = storage.scan(range, direction, usize::MAX).await;
    let rows = rows.expect("a scan of an open storage answers");
    rows.into_iter().map(|(key, _)| key.to_string()).collect()
}

async fn rows_come_back(storage: Rc<dyn Storage>) {
    assert_eq!(storage.get(&key("a")).await, Ok(None));
    for durability in [Durability::Relaxed, Durability::Strict] {
        let mut batch = Batch::new();
        batch.put(key("a"), b"one".to_vec());
        assert_eq!(storage.commit(batch, durability).await, Ok(()));
        assert_eq!(storage.get(&key("a")).await, Ok(Some(b"one".to_vec())));
        let mut batch = Batch::new();
        batch.delete(key("a")).delete(key("never there"));
        assert_eq!(storage.commit(batch, durability).await, Ok(()));
        assert_eq!(storage.get(&key("a")).await, Ok(None));
    }
    let usage = storage.usage().await;
    assert!(usage.is_ok(), "usage answers: {usage:?}");
    assert_eq!(
        storage.commit(Batch::new(), Durability::Relaxed).await,
        Ok(()),
        "an empty batch is committed"
    );
}

async fn a_batch_is_all_or_nothing(storage: Rc<dyn Storage>) {
    put(&*storage, &[("a", b"1")]).await;
    let mut batch = Batch::new();
    batch
        .put(key("b"), b"2".to_vec())
        .delete(key("a"))
        .delete_range(KeyRange::all())
        .check_equals(key("a"), b"other".to_vec());
    assert_eq!(
        storage.commit(batch, Durability::Strict).await,
        Err(StorageError::CheckFailed { key: "a".into() })
    );
    assert_eq!(
        names(&*storage, KeyRange::all(), Direction::Forward).await,
        ["a"]
    );
    // A failed batch does no harm to the next.
    put(&*storage, &[("b", b"2")]).await;
    assert_eq!(storage.get(&key("b")).await, Ok(Some(b"2".to_vec())));
}

async fn checks_look_at_the_rows_before_the_batch(storage: Rc<dyn Storage>) {
    put(&*storage, &[("there", b"1"), ("empty", b"")]).await;
    let failed = |name: &str| Err(StorageError::CheckFailed { key: name.into() });
    let equals = |name: &str, value: &[u8]| {
        let mut batch = Batch::new();
        batch.check_equals(key(name), value.to_vec());
        batch
    };
    let absent = |name: &str| {
        let mut batch = Batch::new();
        batch.check_absent(key(name));
        batch
    };
    let mut own = Batch::new();
    own.put(key("new"), b"1".to_vec())
        .check_absent(key("new"))
        .check_equals(key("there"), b"1".to_vec())
        .delete(key("there"));
    let mut two = equals("there", b"1");
    two.check_absent(key("empty"));
    for (batch, outcome) in [
        (equals("there", b"1"), Ok(())),
        (equals("there", b"2"), failed("there")),
        (equals("there", b""), failed("there")),
        (equals("empty", b""), Ok(())),
        (equals("absent", b""), failed("absent")),
        (absent("absent"), Ok(())),
        (absent("there"), failed("there")),
        (absent("empty"), failed("empty")),
        (two, failed("empty")),
        (own, Ok(())),
        (absent("there"), Ok(())),
        (absent("new"), failed("new")),
    ] {
        let shown = format!("{batch:?}");
        assert_eq!(
            storage.commit(batch, Durability::Relaxed).await,
            outcome,
            "{shown}"
        );
    }
}

async fn later_writes_win(storage: Rc<dyn Storage>) {
    let mut batch = Batch::new();
    batch
        .put(key("a"), b"1".to_vec())
        .put(key("a"), b"2".to_vec())
        .put(key("b"), b"1".to_vec())
        .delete(key("b"))
        .delete(key("c"))
        .put(key("c"), b"3".to_vec())
        .put(key("d/1"), b"old".to_vec())
        .delete_range(key("d").prefix_range())
        .put(key("d/2"), b"new".to_vec());
    assert_eq!(storage.commit(batch, Durability::Relaxed).await, Ok(()));
    assert_eq!(
        storage.scan(KeyRange::all(), Direction::Forward, 10).await,
        Ok(vec![
            (key("a"), b"2".to_vec()),
            (key("c"), b"3".to_vec()),
            (key("d/2"), b"new".to_vec()),
        ])
    );
}

async fn ranges_are_deleted(storage: Rc<dyn Storage>) {
    let fill = [
        ("a", &b""[..]),
        ("m", b""),
        ("m/1", b""),
        ("m/2", b""),
        ("m0", b""),
    ];
    let bounds = |start, end| KeyRange::new(start, end);
    for (range, left) in [
        (key("m").prefix_range(), vec!["a", "m", "m0"]),
        (KeyRange::all(), vec![]),
        (
            bounds(Bound::Excluded(key("m")), Bound::Included(key("m/2"))),
            vec!["a", "m", "m0"],
        ),
        (
            bounds(Bound::Included(key("m/2")), Bound::Unbounded),
            vec!["a", "m", "m/1"],
        ),
        (
            bounds(Bound::Unbounded, Bound::Excluded(key("m"))),
            vec!["m", "m/1", "m/2", "m0"],
        ),
        (
            bounds(Bound::Included(key("z")), Bound::Excluded(key("a"))),
            vec!["a", "m", "m/1", "m/2", "m0"],
        ),
    ] {
        put(&*storage, &fill).await;
        let mut batch = Batch::new();
        batch.delete_range(range.clone());
        assert_eq!(storage.commit(batch, Durability::Relaxed).await, Ok(()));
        assert_eq!(
            names(&*storage, KeyRange::all(), Direction::Forward).await,
            left,
            "{range:?}"
        );
    }
}

async fn scans_follow_key_order(storage: Rc<dyn Storage>) {
    let log = key("log");
    let mut batch = Batch::new();
    for number in [300_u64, 2, 10, 1, u64::MAX, 0] {
        batch.put(log.number(number), number.to_string().into_bytes());
    }
    batch.put(key("lof"), vec![]).put(key("loh"), vec![]);
    assert_eq!(storage.commit(batch, Durability::Relaxed).await, Ok(()));
    let numbers = |rows: Vec<String>| -> Vec<u64> {
        rows.iter()
            .filter_map(|name| key(name).last_number())
            .collect()
    };
    let range = log.prefix_range();
    let up = names(&*storage, range.clone(), Direction::Forward).await;
    assert_eq!(numbers(up), [0, 1, 2, 10, 300, u64::MAX]);
    let down = names(&*storage, range.clone(), Direction::Backward).await;
    assert_eq!(numbers(down), [u64::MAX, 300, 10, 2, 1, 0]);
    let after = range.after(&log.number(2)).before(&log.number(300));
    let some = names(&*storage, after, Direction::Forward).await;
    assert_eq!(numbers(some), [10]);
    let from = range.from(&log.number(2)).up_to(&log.number(300));
    let some = names(&*storage, from, Direction::Backward).await;
    assert_eq!(numbers(some), [300, 10, 2]);
    let empty = range.from(&log.number(9)).before(&log.number(3));
    assert!(
        names(&*storage, empty, Direction::Backward)
            .await
            .is_empty()
    );
}

async fn scans_page_in_both_directions(storage: Rc<dyn Storage>) {
    let base = key("p");
    let mut batch = Batch::new();
    for number in 0..600 {
        batch.put(base.number(number), vec![]);
    }
    assert_eq!(storage.commit(batch, Durability::Relaxed).await, Ok(()));
    let all = scan_all(&storage, base.prefix_range())
        .await
        .map(|r| r.len());
    assert_eq!(all, Ok(600));
    let exported: Vec<_> = export(storage.clone(), base.prefix_range()).collect().await;
    assert_eq!(exported.len(), 600);
    assert!(exported.is_sorted_by_key(|row| row.clone().ok()));
    for (limit, direction) in [
        (0, Direction::Forward),
        (1, Direction::Forward),
        (7, Direction::Forward),
        (0, Direction::Backward),
        (1, Direction::Backward),
        (7, Direction::Backward),
        (600, Direction::Backward),
    ] {
        let rows = storage.scan(base.prefix_range(), direction, limit).await;
        let rows = rows.expect("a scan of an open storage answers");
        assert_eq!(rows.len(), limit, "{direction:?}");
        let numbers: Vec<u64> = rows.iter().filter_map(|(k, _)| k.last_number()).collect();
        let expected: Vec<u64> = match direction {
            Direction::Forward => (0..limit as u64).collect(),
            Direction::Backward => (0..600).rev().take(limit).collect(),
        };
        assert_eq!(numbers, expected);
    }
    let mut rest = base.prefix_range();
    let mut seen = 0;
    loop {
        let page = storage.scan(rest.clone(), Direction::Backward, 250).await;
        let page = page.expect("a scan of an open storage answers");
        let Some((last, _)) = page.last() else { break };
        rest = rest.before(last);
        seen += page.len();
    }
    assert_eq!(seen, 600);
}

async fn every_printable_character_sorts_alike(storage: Rc<dyn Storage>) {
    let mut batch = Batch::new();
    for byte in (0x20..=0x7e_u8).rev() {
        batch.put(key(&char::from(byte).to_string()), vec![byte]);
    }
    assert_eq!(storage.commit(batch, Durability::Relaxed).await, Ok(()));
    let rows = storage
        .scan(KeyRange::all(), Direction::Forward, usize::MAX)
        .await
        .expect("a scan of an open storage answers");
    let values: Vec<u8> = rows.iter().map(|(_, value)| value[0]).collect();
    assert_eq!(values, (0x20..=0x7e_u8).collect::<Vec<u8>>());
    for (key, value) in rows {
        assert_eq!(key.as_str().as_bytes(), value);
    }
}

async fn values_are_any_bytes(storage: Rc<dyn Storage>) {
    let every: Vec<u8> = (0..=255).collect();
    for value in [vec![], vec![0], every, b"\xff\xfe\0".to_vec()] {
        put(&*storage, &[("v", &value)]).await;
        assert_eq!(storage.get(&key("v")).await, Ok(Some(value)));
    }
}

async fn a_large_value_is_kept(storage: Rc<dyn Storage>) {
    let len = storage.limits().max_value_bytes.min(1 << 20);
    let value: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
    put(&*storage, &[("large", &value)]).await;
    let back = storage.get(&key("large")).await;
    assert!(back == Ok(Some(value)), "{len} bytes come back");
    let long = "k".repeat(1024);
    put(&*storage, &[(&long, b"1")]).await;
    assert_eq!(storage.get(&key(&long)).await, Ok(Some(b"1".to_vec())));
}

async fn what_is_too_large_or_misnamed_is_refused(storage: Rc<dyn Storage>) {
    let max = storage.limits().max_value_bytes;
    if max < 64 << 20 {
        let mut batch = Batch::new();
        batch.put(key("a"), vec![]).put(key("b"), vec![0; max + 1]);
        assert_eq!(
            storage.commit(batch, Durability::Relaxed).await,
            Err(StorageError::ValueTooLarge {
                key: "b".into(),
                len: max + 1,
                max
            })
        );
    }
    let mut long = Batch::new();
    long.put(key("a"), vec![])
        .put(Key::root().part(&"x".repeat(1025)), vec![]);
    let mut root = Batch::new();
    root.put(key("a"), vec![]).delete(Key::root());
    for batch in [long, root] {
        let outcome = storage.commit(batch, Durability::Relaxed).await;
        assert!(
            matches!(outcome, Err(StorageError::InvalidKey { .. })),
            "{outcome:?}"
        );
    }
    assert_eq!(storage.get(&key("a")).await, Ok(None));
}

async fn calls_take_effect_in_order(storage: Rc<dyn Storage>) {
    let mut one = Batch::new();
    one.check_absent(key("a")).put(key("a"), b"1".to_vec());
    let mut two = Batch::new();
    two.check_equals(key("a"), b"1".to_vec())
        .put(key("a"), b"2".to_vec());
    let a = key("a");
    let first = storage.commit(one, Durability::Relaxed);
    let between = storage.get(&a);
    let second = storage.commit(two, Durability::Strict);
    let after = storage.scan(KeyRange::all(), Direction::Forward, 10);
    let ((first, between), (second, after)) = join(join(first, between), join(second, after)).await;
    assert_eq!((first, second), (Ok(()), Ok(())));
    assert_eq!(between, Ok(Some(b"1".to_vec())));
    assert_eq!(after, Ok(vec![(key("a"), b"2".to_vec())]));
}

async fn one_of_many_takers_wins(storage: Rc<dyn Storage>) {
    let takers = (0..8_u8).map(|taker| {
        let mut batch = Batch::new();
        batch
            .check_absent(key("prize"))
            .put(key("prize"), vec![taker]);
        storage.commit(batch, Durability::Relaxed)
    });
    let outcomes = join_all(takers).await;
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1);
    let winner = outcomes.iter().position(Result::is_ok);
    let prize = storage.get(&key("prize")).await;
    assert_eq!(prize, Ok(winner.map(|w| vec![w as u8])));
}

async fn tokens_fence(storage: Rc<dyn Storage>) {
    assert_eq!(take_token(&*storage).await, Ok(1));
    let (one, two) = join(take_token(&*storage), take_token(&*storage)).await;
    let mut tokens = [one.expect("a token"), two.expect("a token")];
    tokens.sort_unstable();
    assert_eq!(tokens, [2, 3]);
    for (token, passes) in [(1, false), (2, false), (3, true)] {
        let mut batch = Batch::new();
        batch
            .check_equals(token_key(), token_value(token))
            .put(key("x"), vec![]);
        let outcome = storage.commit(batch, Durability::Relaxed).await;
        assert_eq!(outcome.is_ok(), passes, "token {token}: {outcome:?}");
    }
}

async fn a_fresh_storage_migrates(storage: Rc<dyn Storage>) {
    let schema = migrations::migrate(&*storage).await;
    let schema = schema.expect("a storage without rows migrates");
    assert_eq!(schema.version, migrations::current::VERSION);
    assert_eq!(migrations::check(&*storage).await, Ok(Some(schema)));
}

async fn a_closed_connection_says_so(storage: Rc<dyn Storage>) {
    let closed = storage.closed();
    put(&*storage, &[("a", b"1")]).await;
    storage.close();
    storage.close();
    assert_eq!(closed.await, ClosedReason::Requested);
    assert_eq!(storage.closed().await, ClosedReason::Requested);
    assert_eq!(storage.get(&key("a")).await, Err(StorageError::Closed));
    assert_eq!(
        storage.scan(KeyRange::all(), Direction::Forward, 1).await,
        Err(StorageError::Closed)
    );
    let mut batch = Batch::new();
    batch.put(key("b"), vec![]);
    assert_eq!(
        storage.commit(batch, Durability::Relaxed).await,
        Err(StorageError::Closed)
    );
}
