//! The suites of the shim and of storage as exports, for `www/edge`: each case is called by its name, in an instance of its own.
#![cfg(target_arch = "wasm32")]

#[path = "../../suites/shim.rs"]
mod suite;

use std::panic;
use std::rc::Rc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use js_sys::{Function, Promise};
use mobkit_web::shim::Host;
use mobkit_web::storage::conformance;
use mobkit_web::web::{BrowserHost, JsStorage};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

type Case = (&'static str, fn(Host) -> LocalBoxFuture<'static, ()>);

/// All cases of the suite.
fn all() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    macro_rules! list {
        ($case:ident) => {
            cases.push((stringify!($case), |host| suite::$case(host).boxed_local()));
        };
    }
    suite::for_each_shim_case!(list);
    cases
}

/// The names of the cases.
#[wasm_bindgen]
pub fn cases() -> Vec<String> {
    all().iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// Runs one case. A case that fails panics: `on_panic` hears why, and the promise stays open.
#[wasm_bindgen]
pub fn run(name: &str, on_panic: Function) -> Promise {
    hear_panics(on_panic);
    let case = all().into_iter().find(|(known, _)| *known == name);
    future_to_promise(async move {
        let (_, case) = case.ok_or("there is no such case")?;
        case(BrowserHost::host()).await;
        Ok(JsValue::UNDEFINED)
    })
}

/// The names of the storage suite's cases.
#[wasm_bindgen(js_name = storageCases)]
pub fn storage_cases() -> Vec<String> {
    let cases = conformance::CASES.iter();
    cases.map(|case| case.name.to_owned()).collect()
}

/// Runs one case of the storage suite over an object that keeps no rows yet.
#[wasm_bindgen(js_name = runStorage)]
pub fn run_storage(name: &str, driver: JsValue, on_panic: Function) -> Promise {
    hear_panics(on_panic);
    let case = conformance::CASES.iter().find(|case| case.name == name);
    future_to_promise(async move {
        let case = case.ok_or("there is no such case")?;
        case.run(Rc::new(JsStorage::new(driver))).await;
        Ok(JsValue::UNDEFINED)
    })
}

fn hear_panics(on_panic: Function) {
    panic::set_hook(Box::new(move |info| {
        // Nobody is left to hear of a failure.
        let _ = on_panic.call1(&JsValue::UNDEFINED, &info.to_string().into());
    }));
}
