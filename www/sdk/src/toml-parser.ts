// The reader of TOML, which the build puts into the package: there is no bundler where a plain script imports this package.

export { parse, TomlError } from "smol-toml";
