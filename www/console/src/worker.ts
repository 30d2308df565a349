// The worker's script: hosts the runtime. All that it can do is asked of it by `mobkit-web/client`.

import { serveRuntime } from "mobkit-web/worker";
import wasmUrl from "mobkit-web/mobkit_web_bg.wasm?url";

serveRuntime(self, {
  wasm: wasmUrl,
  // So that there is somewhere for things to go.
  configure: (builder) => builder.module("router").module("delivery"),
});
