// A site with one page, in which scenarios of `tests/golden` are run: the built package, and the runner as `golden-in-page.ts` has it.

import { readFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Server } from "./server.ts";

const DIST = new URL("../../sdk/dist/", import.meta.url);
const PACKAGE = /^\/dist\/([\w-]+\.(?:js|wasm))$/;
const TYPES: Record<string, string> = { ".js": "text/javascript", ".wasm": "application/wasm" };
const PAGE = `<!doctype html><title>golden files</title><link rel="icon" href="data:,">
<script type="importmap">{"imports": {"mobkit-web": "/dist/index.js"}}</script>
<script type="module" src="/golden.js"></script>`;

export async function serveGoldenPage(): Promise<Server> {
  const runner = await build({
    entryPoints: [fileURLToPath(new URL("golden-in-page.ts", import.meta.url))],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2022",
    external: ["mobkit-web"],
    logLevel: "warning",
  });
  const script = runner.outputFiles[0]?.contents;
  const server = createServer(({ url = "/" }, response) => {
    const file = PACKAGE.exec(url)?.[1];
    if (url === "/") send(response, "text/html", PAGE);
    else if (url === "/golden.js") send(response, "text/javascript", script);
    else if (file === undefined) response.writeHead(404).end();
    else {
      readFile(new URL(file, DIST)).then(
        (bytes) => send(response, TYPES[extname(file)]!, bytes),
        (error: unknown) => response.writeHead(404).end(String(error)),
      );
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close };
}

function send(response: ServerResponse, type: string, body: string | Uint8Array | undefined): void {
  response.writeHead(200, { "content-type": type }).end(body);
}
