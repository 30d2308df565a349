// The generated glue, which the build puts beside the compiled files of this package.
declare module "*/mobkit_web_glue.js" {
  export function createInstance(globals: import("./instance.js").InstanceGlobals): import("./glue.js").Glue;
}
