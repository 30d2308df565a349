// The page of one bench, bundled as people bundle theirs, and a server for it.

import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { type BuildOptions, build } from "esbuild";

const page = (name: string): string => fileURLToPath(new URL(`../page/${name}.ts`, import.meta.url));

const TYPES: Record<string, string> = { js: "text/javascript", wasm: "application/wasm" };

export interface Site {
  url: string;
  /** A script of `page/`, for a page to run before anything else. */
  script(name: string): Promise<string>;
  close(): Promise<void>;
}

/** Serves a page that runs `page/{name}.ts`, and beside it `page/{name}.worker.ts`, if there is one, for a worker. */
export async function serve(name: string): Promise<Site> {
  const entryPoints = [page(name), page(`${name}.worker`)].filter(existsSync);
  const files = await bundle({ entryPoints, format: "esm", splitting: true, loader: { ".wasm": "file" } });
  // The text's own language and character set spare the browser a guess; the icon spares the server a question.
  files.set("/", Buffer.from(`<!doctype html><html lang="en"><meta charset="utf-8"><title>${name}</title><link rel="icon" href="data:,"><script type="module" src="/${name}.js"></script>`));
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://host");
    const body = files.get(pathname);
    if (!body) return response.writeHead(404).end();
    return response.writeHead(200, {
      "content-type": TYPES[pathname.split(".").at(-1) ?? ""] ?? "text/html",
      "content-length": body.byteLength,
      "cache-control": pathname === "/" ? "no-store" : "public, max-age=31536000, immutable",
      // Isolated pages have a clock of five microseconds, others one of a hundred.
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-embedder-policy": "require-corp",
    }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return {
    url: `http://127.0.0.1:${address.port}/`,
    script: async (script) => {
      const bundled = await bundle({ entryPoints: [page(script)], format: "iife" });
      return bundled.get(`/${script}.js`)?.toString() ?? "";
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** The bundled files by their path on the site. */
async function bundle(options: BuildOptions): Promise<Map<string, Buffer>> {
  const { outputFiles } = await build({ ...options, bundle: true, minify: true, target: "es2022", outdir: "/", write: false, logLevel: "warning" });
  return new Map((outputFiles ?? []).map(({ path, contents }) => [path, Buffer.from(contents)]));
}
