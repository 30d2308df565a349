//! IndexedDB in a real browser, in a page and in a worker alike: the conformance suite, what other connections do to us,
//! and what the browser refuses.

use std::rc::Rc;
use std::time::Duration;

use futures::StreamExt;
use futures::channel::oneshot;
use futures::future::{FutureExt, join_all};
use mobkit_web::log::{Log, LogConfig};
use mobkit_web::shim::Host;
use mobkit_web::storage::{
    self, Batch, ClosedReason, Durability, Key, KeyRange, Storage, StorageError, Writer,
    WriterClosed, WriterConfig, conformance, migrations,
};
use mobkit_web::web::{BrowserHost, IndexedDbConfig, IndexedDbStorage};
use mobkit_web::wire::Cursor;
use wasm_bindgen::prelude::*;
use web_sys::{IdbDatabase, IdbFactory, IdbOpenDbRequest};

/// Calls `$run!(case)` for every case of the suite.
macro_rules! for_each_storage_case {
    ($run:ident) => {
        $run!(indexed_db_conforms);
        $run!(rows_outlive_the_connection);
        $run!(usage_is_told);
        $run!(a_deletion_elsewhere_ends_the_connection);
        $run!(an_upgrade_elsewhere_ends_the_connection_and_is_too_new);
        $run!(who_is_blocked_is_told_and_a_late_success_closes_itself);
        $run!(a_close_that_nobody_asked_for_leaves_outcomes_unknown);
        $run!(a_failed_check_takes_back_the_writes_behind_it);
        $run!(a_log_lives_in_indexed_db);
        $run!(a_full_disk_is_told_by_its_name);
        $run!(a_browser_without_storage_is_told);
    };
}
pub(crate) use for_each_storage_case;

const QUICK: IndexedDbConfig = IndexedDbConfig {
    blocked_after: Duration::from_millis(100),
};

fn host() -> Host {
    BrowserHost::host()
}

fn name() -> String {
    format!("mobkit-test-{}", host().uuid_v7())
}

async fn open(name: &str) -> Rc<IndexedDbStorage> {
    let opened = IndexedDbStorage::open(&host(), name, QUICK).await;
    opened.expect("IndexedDB works here")
}

async fn erase(name: &str) {
    let erased = IndexedDbStorage::delete(&host(), name, QUICK).await;
    assert_eq!(erased, Ok(()));
}

fn row(name: &str) -> Key {
    Key::root().part(name)
}

fn put(name: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(row(name), name.as_bytes().to_vec());
    batch
}

fn factory() -> IdbFactory {
    let factory = js_sys::Reflect::get(&js_sys::global(), &"indexedDB".into());
    factory.expect("IndexedDB works here").unchecked_into()
}

/// A connection that is not ours and listens to nothing.
struct Foreign(IdbDatabase);

impl Foreign {
    async fn open(name: &str, version: Option<u32>) -> Foreign {
        let request = Foreign::request(name, version);
        let (sender, receiver) = oneshot::channel();
        let success = Closure::once(move || {
            // The test may have gone.
            let _ = sender.send(());
        });
        request.set_onsuccess(Some(success.as_ref().unchecked_ref()));
        receiver.await.expect("the other connection opens");
        Foreign(request.result().expect("it is open").unchecked_into())
    }

    fn request(name: &str, version: Option<u32>) -> IdbOpenDbRequest {
        match version {
            Some(version) => factory().open_with_u32(name, version),
            None => factory().open(name),
        }
        .expect("the name is fine")
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.0.close();
    }
}

pub async fn indexed_db_conforms() {
    for case in conformance::CASES {
        let name = name();
        let storage = open(&name).await;
        case.run(storage).await;
        erase(&name).await;
    }
}

pub async fn rows_outlive_the_connection() {
    let name = name();
    let storage = open(&name).await;
    assert!(migrations::migrate(&*storage).await.is_ok());
    let answer = storage.commit(put("a"), Durability::Strict).await;
    assert_eq!(answer, Ok(()));
    // Dropped at once: commits that were called are carried out.
    drop(storage.commit(put("b"), Durability::Relaxed));
    drop(storage);
    let storage = open(&name).await;
    assert_eq!(storage.get(&row("a")).await, Ok(Some(b"a".to_vec())));
    assert_eq!(storage.get(&row("b")).await, Ok(Some(b"b".to_vec())));
    let storage: Rc<dyn Storage> = storage;
    let rows: Vec<_> = storage::export(storage, KeyRange::all()).collect().await;
    assert_eq!(rows.len(), 3, "two rows and the schema");
    erase(&name).await;
}

pub async fn usage_is_told() {
    let name = name();
    let storage = open(&name).await;
    let usage = storage.usage().await.expect("usage answers");
    assert!(usage.quota_bytes > Some(0), "{usage:?}");
    erase(&name).await;
}

pub async fn a_deletion_elsewhere_ends_the_connection() {
    let name = name();
    let storage = open(&name).await;
    let answer = storage.commit(put("a"), Durability::Relaxed);
    let closed = storage.closed();
    erase(&name).await;
    assert_eq!(answer.await, Ok(()), "what was under way is carried out");
    assert_eq!(closed.await, ClosedReason::VersionChange);
    assert_eq!(
        storage.get(&row("a")).await,
        Err(StorageError::VersionChange)
    );
    assert_eq!(
        storage.commit(put("a"), Durability::Relaxed).await,
        Err(StorageError::VersionChange)
    );
    let again = open(&name).await;
    assert_eq!(again.get(&row("a")).await, Ok(None));
    drop(again);
    erase(&name).await;
}

pub async fn an_upgrade_elsewhere_ends_the_connection_and_is_too_new() {
    let name = name();
    let storage = open(&name).await;
    let newer = Foreign::open(&name, Some(7)).await;
    assert_eq!(storage.closed().await, ClosedReason::VersionChange);
    drop(newer);
    let late = IndexedDbStorage::open(&host(), &name, QUICK).await;
    assert_eq!(
        late.err(),
        Some(StorageError::SchemaTooNew {
            found: 7,
            supported: 1
        })
    );
    erase(&name).await;
}

pub async fn who_is_blocked_is_told_and_a_late_success_closes_itself() {
    let name = name();
    drop(open(&name).await);
    let stubborn = Foreign::open(&name, None).await;
    let erased = IndexedDbStorage::delete(&host(), &name, QUICK).await;
    assert_eq!(erased, Err(StorageError::Blocked));
    // Waits behind the deletion, and gives up.
    let host = host();
    let late = IndexedDbStorage::open(&host, &name, QUICK);
    let late = host.timeout(Duration::from_millis(300), late).await;
    assert!(late.is_err(), "an open waits behind a deletion");
    drop(stubborn);
    host.sleep(Duration::from_millis(300)).await;
    // If the late success had not closed itself, this would be blocked.
    let newer = Foreign::open(&name, Some(9)).await;
    drop(newer);
    erase(&name).await;
}

/// Lets the test end the newest connection as the browser does: with a `close` that nobody asked
/// for.
fn catch_connections() {
    let script = "if (!globalThis.loseConnection) {
        const open = IDBFactory.prototype.open;
        IDBFactory.prototype.open = function (...args) {
            const request = open.apply(this, args);
            request.addEventListener('success', () => {
                const database = request.result;
                globalThis.loseConnection = () => database.dispatchEvent(new Event('close'));
            });
            return request;
        };
    }";
    js_sys::eval(script).expect("the script is sound");
}

pub async fn a_close_that_nobody_asked_for_leaves_outcomes_unknown() {
    catch_connections();
    let name = name();
    let storage = open(&name).await;
    let group = host().task_group();
    let writer = Writer::spawn(&group.host(), storage.clone(), WriterConfig::default());
    let (commit, a) = (storage.commit(put("a"), Durability::Relaxed), row("a"));
    let read = storage.get(&a);
    js_sys::eval("loseConnection()").expect("there is a connection");
    assert_eq!(commit.await, Err(StorageError::OutcomeUnknown));
    let read = read.await;
    assert!(
        matches!(read, Err(StorageError::Aborted(_)) | Ok(_)),
        "{read:?}"
    );
    assert!(matches!(storage.closed().await, ClosedReason::Lost(_)));
    assert_eq!(storage.get(&a).await, Err(StorageError::Closed));
    assert_eq!(
        writer.closed().await,
        WriterClosed::Storage(StorageError::Closed)
    );
    drop(storage);
    erase(&name).await;
}

/// Makes a method of the browser's throw a DOM exception of this name; with no name it works again.
fn sabotage(class: &str, method: &str, exception: &str) {
    let script = format!(
        "(() => {{
            const methods = {class}.prototype;
            const honest = methods.{method}.honest ?? methods.{method};
            methods.{method} = {exception:?} === '' ? honest : function () {{
                throw new DOMException('sabotaged', {exception:?});
            }};
            methods.{method}.honest = honest;
        }})()"
    );
    js_sys::eval(&script).expect("the script is sound");
}

pub async fn a_full_disk_is_told_by_its_name() {
    let name = name();
    let storage = open(&name).await;
    let mut batch = put("a");
    batch.put(row("b"), vec![]);
    sabotage("IDBObjectStore", "put", "QuotaExceededError");
    let full = storage.commit(batch.clone(), Durability::Strict).await;
    sabotage("IDBObjectStore", "put", "");
    let error = full.expect_err("nothing was put");
    assert_eq!(error.code(), "storage_quota_exceeded");
    assert_eq!(
        error.dom().map(|dom| dom.name.as_str()),
        Some("QuotaExceededError")
    );
    assert_eq!(storage.get(&row("a")).await, Ok(None));
    assert_eq!(storage.commit(batch, Durability::Strict).await, Ok(()));
    drop(storage);
    erase(&name).await;
}

pub async fn a_browser_without_storage_is_told() {
    sabotage("IDBFactory", "open", "SecurityError");
    let refused = IndexedDbStorage::open(&host(), "never", QUICK).await;
    sabotage("IDBFactory", "open", "");
    let error = refused.err();
    assert_eq!(
        error.as_ref().map(StorageError::code),
        Some("storage_unavailable")
    );
    assert_eq!(
        error.and_then(|error| error.dom().map(|dom| dom.name.clone())),
        Some("SecurityError".to_owned())
    );
}

pub async fn a_failed_check_takes_back_the_writes_behind_it() {
    let name = name();
    let storage = open(&name).await;
    let commits = (0..50_u32).map(|n| {
        let mut batch = Batch::new();
        if n % 3 == 1 {
            batch.check_equals(row("never"), vec![1]);
        }
        batch.check_absent(row(&format!("row {n}")));
        for part in 0..20 {
            batch.put(Key::root().part("x").number(part), vec![n as u8]);
        }
        storage.commit(batch, Durability::Relaxed)
    });
    let outcomes = join_all(commits).await;
    for (n, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome.is_err(), n % 3 == 1);
    }
    let last = storage.get(&Key::root().part("x").number(3)).await;
    assert_eq!(last, Ok(Some(vec![48])));
    drop(storage);
    erase(&name).await;
}

pub async fn a_log_lives_in_indexed_db() {
    let name = name();
    let config = LogConfig {
        tail_capacity: 8,
        ..LogConfig::default()
    };
    for life in 0..3_u64 {
        let storage: Rc<dyn Storage> = open(&name).await;
        let group = host().task_group();
        let writer = Writer::spawn(&group.host(), storage.clone(), WriterConfig::default());
        let log: Log<String> = Log::open(&group.host(), storage, row("log"), config.clone())
            .await
            .expect("the log opens");
        writer.add_participant(log.participant());
        let _flusher = log.run_flusher(&group.host(), &writer, |outcome| outcome.unwrap());
        let before = log.latest();
        assert_eq!(before.get(), life * 500);
        let mut reader = log.follow(Cursor::START).expect("0 is never ahead");
        for n in 0..500 {
            log.append(format!("life {life} entry {n}"));
            if n % 100 == 0 {
                host().yield_now().await;
            }
        }
        let mut count = 0;
        while count < (life + 1) * 500 {
            let item = reader.next().await.expect("it goes on").expect("it reads");
            count += 1;
            assert_eq!(item.cursor().get(), count, "no gap after an orderly stop");
        }
        assert!(reader.next().now_or_never().is_none());
        log.release();
        writer.close().await;
        log.close();
    }
    erase(&name).await;
}
