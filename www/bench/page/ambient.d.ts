// Files that the bundler puts beside the page, by their address.
declare module "*.wasm" {
  const url: string;
  export default url;
}

// The generated glue of `tests/bench`, which `cargo xtask bench` puts into `dist/`.
declare module "*/mobkit_web_bench_glue.js" {
  export function createInstance(globals: object): import("./contenders/log.ts").Glue;
}
