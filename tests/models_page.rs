//! Models over `fetch` and models written in JavaScript, in a page.
#![cfg(target_arch = "wasm32")]

#[path = "suites/models.rs"]
mod suite;

use mobkit_web::web::BrowserHost;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

macro_rules! run {
    ($case:ident) => {
        #[wasm_bindgen_test]
        async fn $case() {
            suite::$case(BrowserHost::host()).await;
        }
    };
}
suite::for_each_model_case!(run);
