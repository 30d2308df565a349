//! The log, and what is timed of it.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Array, Promise};
use mobkit_web::log::{Log, LogConfig, LogItem, LogReader};
use mobkit_web::shim::Host;
use mobkit_web::storage::{
    Durability, Key, Storage, Writer, WriterConfig, take_token, token_key, token_value,
};
use mobkit_web::web::{BrowserHost, IndexedDbConfig, IndexedDbStorage};
use mobkit_web::wire::{AgentEvent, AgentEventRecord, Cursor};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use crate::event::event;

/// The most items that a reader takes at a time.
const BATCH: usize = 4_096;

/// A log with its writer.
#[wasm_bindgen]
pub struct BenchLog {
    inner: Rc<Inner>,
}

struct Inner {
    storage: Rc<IndexedDbStorage>,
    writer: Writer,
    log: Log<AgentEventRecord>,
    /// Made before the clock runs.
    prepared: RefCell<Vec<AgentEventRecord>>,
}

#[wasm_bindgen]
impl BenchLog {
    /// Opens the log in the database of this name, or begins it.
    pub fn open(database: String) -> Promise {
        future_to_promise(async move {
            let inner = Inner::open(&BrowserHost::host(), &database).await?;
            let inner = Rc::new(inner);
            Ok(BenchLog { inner }.into())
        })
    }

    /// Makes `count` events from the number `first` on.
    pub fn prepare(&self, first: u32, count: u32) {
        let events = (first..first + count).map(event).collect();
        self.inner.prepared.replace(events);
    }

    /// Appends what was prepared, so many in one commit, each commit after the one before is through. Resolves when all are
    /// durable.
    pub fn append(&self, per_commit: usize) -> Promise {
        let inner = self.inner.clone();
        future_to_promise(async move {
            let mut events = inner.prepared.take().into_iter();
            while events.len() > 0 {
                for event in events.by_ref().take(per_commit) {
                    inner.log.append(event);
                }
                let flushed = inner.writer.flush(Durability::Relaxed).await;
                flushed.map_err(to_js)?;
            }
            Ok(JsValue::UNDEFINED)
        })
    }

    /// Reads all that comes after a cursor: `[events, the last one's cursor, letters of all texts]`. The letters prove that
    /// each event was decoded.
    pub fn replay(&self, after: u32) -> Promise {
        let inner = self.inner.clone();
        future_to_promise(async move {
            let reader = inner.log.follow(Cursor::new(after.into())).map_err(to_js)?;
            inner.replay(reader).await
        })
    }

    /// Ends in good order.
    pub fn close(&self) -> Promise {
        let inner = self.inner.clone();
        future_to_promise(async move {
            inner.log.release();
            inner.writer.close().await;
            inner.storage.close();
            Ok(JsValue::UNDEFINED)
        })
    }
}

impl Inner {
    async fn open(host: &Host, database: &str) -> Result<Inner, JsValue> {
        let opened = IndexedDbStorage::open(host, database, IndexedDbConfig::default()).await;
        let storage = opened.map_err(to_js)?;
        let token = take_token(&*storage).await.map_err(to_js)?;
        let config = WriterConfig {
            fence: Some((token_key(), token_value(token))),
            ..WriterConfig::default()
        };
        let writer = Writer::spawn(host, storage.clone(), config);
        let prefix = Key::root().part("mob").part("bench").part("events");
        let log = Log::open(host, storage.clone(), prefix, LogConfig::default()).await;
        let log = log.map_err(to_js)?;
        writer.add_participant(log.participant());
        Ok(Inner {
            storage,
            writer,
            log,
            prepared: RefCell::default(),
        })
    }

    async fn replay(&self, mut reader: LogReader<AgentEventRecord>) -> Result<JsValue, JsValue> {
        let latest = self.log.latest();
        let (mut events, mut letters) = (0_u32, 0_usize);
        while reader.cursor() < latest {
            for item in reader.next_batch(BATCH).await.map_err(to_js)? {
                let LogItem::Entry { entry, .. } = item else {
                    return Err(JsError::new("the log has a gap").into());
                };
                let AgentEvent::TextDelta { delta } = &entry.event else {
                    return Err(JsError::new("an event is not what was stored").into());
                };
                events += 1;
                letters += delta.len();
            }
        }
        let found = [f64::from(events), latest.get() as f64, letters as f64];
        Ok(found
            .map(JsValue::from_f64)
            .into_iter()
            .collect::<Array>()
            .into())
    }
}

fn to_js(error: impl std::fmt::Display) -> JsValue {
    JsError::new(&error.to_string()).into()
}
