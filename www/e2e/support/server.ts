// The project's own server over the console's last build, as a test's process of its own.

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** How long the server may take to listen; `cargo` may have to compile it first. */
const START_MS = 180_000;

export interface Server {
  /** Ends in a slash. */
  url: string;
  close(): void;
}

/** Starts `cargo xtask serve` without building. `MOBKIT_XTASK` names its binary, which saves asking cargo. */
export async function startServer(): Promise<Server> {
  const binary = process.env["MOBKIT_XTASK"];
  const options = ["serve", "--no-open", "--no-build", "--port", "0"];
  const [command, args] = binary ? [binary, options] : ["cargo", ["xtask", ...options]];
  const child = spawn(command, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  const close = (): void => void child.kill();
  process.once("exit", close);
  try {
    return { url: await address(child), close };
  } catch (error) {
    close();
    throw error;
  }
}

function address(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    const fail = (why: string): void => reject(new Error(`the server did not start: ${why}\n${said}`));
    const timer = setTimeout(() => fail(`nothing within ${START_MS / 1000} s`), START_MS);
    const read = (line: string): void => {
      said += `${line}\n`;
      const url = /^listening on (http:\S+)$/.exec(line)?.[1];
      if (url === undefined) return;
      clearTimeout(timer);
      resolve(url);
    };
    child.on("error", (error) => fail(error.message));
    child.on("exit", (code) => fail(`it ended with ${code}`));
    for (const stream of [child.stdout, child.stderr]) if (stream) createInterface({ input: stream }).on("line", read);
  });
}
