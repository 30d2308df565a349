// workerd, the runtime of an edge provider, with one worker of ours in it.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** What the worker may rely on. Not newer than the binary. */
const COMPATIBILITY_DATE = "2026-11-01";
/** How long the runtime may take to listen on a busy machine. */
const START_MS = 60_000;

/** What a worker has beside its script. */
export interface WorkerOptions {
  /** Classes of Durable Objects with SQLite, by the names of their bindings. */
  objects?: Record<string, string>;
  /** Text by the names of the bindings. */
  text?: Record<string, string>;
}

export class Workerd {
  readonly #directory: string;
  readonly #said: string[] = [];
  #process!: ChildProcess;
  /** Any at first, and then the same. */
  #port = 0;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Starts the runtime with the worker whose script is `workers/{name}.ts`, or has this address. */
  static async start(script: string | URL, options: WorkerOptions = {}): Promise<Workerd> {
    const workerd = new Workerd(mkdtempSync(join(tmpdir(), "mobkit-edge-")));
    mkdirSync(join(workerd.#directory, "storage"));
    await bundle(typeof script === "string" ? new URL(`../workers/${script}.ts`, import.meta.url) : script, workerd.#directory, options);
    await workerd.#serve();
    return workerd;
  }

  /** Ends without a slash. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** What the worker and the runtime have said; the reason of a failure is often among it. */
  get said(): string {
    return this.#said.join("\n");
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Kills the process as a power cut would, and starts another one over what it has stored. */
  async killAndRestart(): Promise<void> {
    await this.kill();
    await this.#serve();
  }

  /** Kills the process. What is stored stays. */
  async kill(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.kill("SIGKILL");
    await ended;
  }

  /** Starts the process after `kill`. */
  restart(): Promise<void> {
    return this.#serve();
  }

  close(): void {
    this.#process.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #serve(): Promise<void> {
    const config = join(this.#directory, "config.capnp");
    const child = spawn(binary(), ["serve", config, "--socket-addr", `http=127.0.0.1:${this.#port}`, "--control-fd=3"], { stdio: ["ignore", "pipe", "pipe", "pipe"] });
    process.once("exit", () => child.kill());
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) if (stream) createInterface({ input: stream }).on("line", (line) => this.#said.push(line));
    try {
      this.#port = await listening(child);
    } catch (error) {
      child.kill();
      throw new Error(`${String(error)}\n${this.said}`);
    }
  }
}

/** The worker as one script, its wasm beside it, and the configuration that names both. */
async function bundle(script: URL, directory: string, { objects = {}, text = {} }: WorkerOptions): Promise<void> {
  const modules: string[] = [];
  await build({
    entryPoints: [fileURLToPath(script)],
    bundle: true,
    outfile: join(directory, "worker.js"),
    format: "esm",
    target: "es2022",
    logLevel: "warning",
    loader: { ".toml": "text" },
    external: ["cloudflare:workers"],
    plugins: [{
      name: "wasm",
      setup(build) {
        build.onResolve({ filter: /\.wasm$/ }, async ({ path, pluginData, ...rest }) => {
          if (pluginData === "resolved") return undefined;
          const found = await build.resolve(path, { ...rest, pluginData: "resolved" });
          const file = basename(found.path);
          writeFileSync(join(directory, file), readFileSync(found.path));
          modules.push(file);
          return { path: `./${file}`, external: true };
        });
      },
    }],
  });
  const listed = modules.map((file) => `(name = "${file}", wasm = embed "${file}")`);
  const namespaces = Object.values(objects).map((className) => `(className = "${className}", uniqueKey = "${className}", enableSql = true)`);
  const bindings = [
    ...Object.entries(objects).map(([binding, className]) => `(name = "${binding}", durableObjectNamespace = "${className}")`),
    ...Object.entries(text).map(([binding, value]) => `(name = "${binding}", text = ${JSON.stringify(value)})`),
  ];
  writeFileSync(join(directory, "config.capnp"), `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = ["public", "private"])),
    (name = "storage", disk = (path = "${join(directory, "storage")}", writable = true)),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js"), ${listed.join(", ")}],
  compatibilityDate = "${COMPATIBILITY_DATE}",
  durableObjectNamespaces = [${namespaces.join(", ")}],
  durableObjectStorage = (localDisk = "storage"),
  bindings = [${bindings.join(", ")}],
);
`);
}

/** The binary for this machine, which its package brings along in another. */
function binary(): string {
  const require = createRequire(createRequire(import.meta.url).resolve("workerd/package.json"));
  const arch = process.arch === "x64" ? "64" : process.arch;
  return require.resolve(`@cloudflare/workerd-${process.platform}-${arch}/bin/workerd`);
}

function listening(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`workerd did not start: ${why}`));
    const timer = setTimeout(() => fail(`nothing within ${START_MS / 1000} s`), START_MS);
    child.on("error", (error) => fail(error.message));
    child.on("exit", (code) => fail(`it ended with ${code}`));
    const control = child.stdio[3];
    if (!control || !("on" in control)) return fail("it has no control channel");
    createInterface({ input: control as NodeJS.ReadableStream }).on("line", (line) => {
      const message = JSON.parse(line) as { event: string; port: number };
      if (message.event !== "listen") return;
      clearTimeout(timer);
      resolve(message.port);
    });
  });
}
