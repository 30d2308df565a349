//! An entry inside the log: its JSON, and what it decodes to.
//!
//! The log itself needs neither the type nor the value of its entries, so that it is compiled once for all logs, and what
//! nobody looks at is never decoded: an entry read from a chunk row is a piece of that row's text until somebody asks.

use std::any::Any;
use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;

use serde::Serialize;

use crate::wire::json::{self, FromJson};

pub(crate) struct Entry {
    json: Box<[u8]>,
    value: OnceCell<Rc<dyn Any>>,
}

impl Entry {
    /// An entry that is new.
    pub(super) fn new<T: Serialize + 'static>(value: T) -> Rc<Entry> {
        let json = serde_json::to_vec(&value).expect("log entries are types that JSON can hold");
        let value: Rc<dyn Any> = Rc::new(value);
        Rc::new(Entry {
            json: json.into(),
            value: value.into(),
        })
    }

    /// An entry that was stored.
    pub(super) fn stored(json: &[u8]) -> Rc<Entry> {
        Rc::new(Entry {
            json: json.into(),
            value: OnceCell::new(),
        })
    }

    /// Its JSON.
    pub(crate) fn json(&self) -> &[u8] {
        &self.json
    }

    /// Its value, decoded at the first call.
    pub(super) fn value<T: FromJson + 'static>(&self) -> Result<Rc<T>, serde_json::Error> {
        let value = match self.value.get() {
            Some(value) => value.clone(),
            None => {
                let decoded: Rc<dyn Any> = Rc::new(json::decode_own::<T>(&self.json)?);
                self.value.get_or_init(|| decoded).clone()
            }
        };
        Ok(value
            .downcast()
            .expect("the entries of a log are of one type"))
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.json))
    }
}
