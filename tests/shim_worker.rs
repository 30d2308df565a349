//! The shim's suite, the lease and the signal in a dedicated worker.
#![cfg(target_arch = "wasm32")]

#[path = "suites/contexts.rs"]
mod contexts;
#[path = "suites/shim.rs"]
mod suite;

use mobkit_web::web::BrowserHost;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

macro_rules! run_shim {
    ($case:ident) => {
        #[wasm_bindgen_test]
        async fn $case() {
            suite::$case(BrowserHost::host()).await;
        }
    };
}
suite::for_each_shim_case!(run_shim);

macro_rules! run_contexts {
    ($case:ident) => {
        #[wasm_bindgen_test]
        async fn $case() {
            contexts::$case(BrowserHost::host()).await;
        }
    };
}
contexts::for_each_context_case!(run_contexts);
