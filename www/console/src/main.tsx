// The page's entry: a worker with the runtime, a session over it, and the page. The address may say which storage (`?storage=name`)
// and which served definition (`?definition=file.toml`) to use, so that several mobs can live on one site.

import { connectRuntime } from "mobkit-web/client";
import { mount } from "./mount.tsx";
import { Session } from "./session.ts";
import { Settings } from "./settings.ts";

const query = new URLSearchParams(location.search);
const storageName = query.get("storage") ?? "mobkit-console";

/** A definition file of this site; another site's would be a stranger's orders to the mob. */
async function servedDefinition(): Promise<string> {
  const url = new URL(query.get("definition") ?? "demo.toml", document.baseURI);
  if (url.origin !== location.origin) throw new Error(`the definition must come from this site: ${url.href}`);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.pathname} answered HTTP ${response.status}`);
  return await response.text();
}

function pageStorage(): Storage | undefined {
  try {
    return localStorage;
  } catch {
    // The browser's policy forbids it: the page works and forgets.
    return undefined;
  }
}

const client = connectRuntime(() => new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "mobkit-web" }));
const settings = new Settings(storageName, pageStorage());
addEventListener("storage", (event) => settings.take(event));
const session = new Session(client, { storageName, settings, servedDefinition });
const root = document.getElementById("app");
if (!root) throw new Error("the document has no element #app");
mount(session, root);
void session.start();
