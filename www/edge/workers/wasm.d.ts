// An edge runtime gives a `.wasm` file as a compiled module: it compiles none at run time.
declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}
declare module "*/mobkit_web_edge_glue.js" {
  export function createInstance(globals: object): unknown;
}
declare module "*.toml" {
  const text: string;
  export default text;
}
