// The page's entry: a runtime, a session over it, and the page. The address may say which storage (`?storage=name`) and which served
// definition (`?definition=file.toml`) the page's own runtime uses, so that several mobs can live on one site; or which mob of a server
// to show in its place (`?runtime=https://host/path`).

import { connectRuntime } from "mobkit-web/client";
import { toConsoleError } from "./client.ts";
import { mount, mountRefusal } from "./mount.tsx";
import { remoteAddress } from "./remote/address.ts";
import { RemoteClient } from "./remote/client.ts";
import { relayed } from "./remote/relay.ts";
import { Session } from "./session.ts";
import { Settings } from "./settings.ts";

const query = new URLSearchParams(location.search);

/** A definition file of this site; another site's would be a stranger's orders to the mob. */
async function servedDefinition(): Promise<string> {
  const url = new URL(query.get("definition") ?? "demo.toml", document.baseURI);
  if (url.origin !== location.origin) throw new Error(`the definition must come from this site: ${url.href}`);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.pathname} answered HTTP ${response.status}`);
  return await response.text();
}

function pageStorage(kind: "localStorage" | "sessionStorage"): Storage | undefined {
  try {
    return window[kind];
  } catch {
    // The browser's policy forbids it: the page works and forgets.
    return undefined;
  }
}

function rememberedFor(name: string): Settings {
  const settings = new Settings(name, pageStorage("localStorage"));
  addEventListener("storage", (event) => settings.take(event));
  return settings;
}

function ownSession(): Session {
  const storageName = query.get("storage") ?? "mobkit-console";
  const client = connectRuntime(() => new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "mobkit-web" }));
  return new Session(client, { storageName, settings: rememberedFor(storageName), servedDefinition });
}

function remoteSession(runtime: string): Session {
  const address = remoteAddress(runtime, document.baseURI);
  const send = relayed(new Worker(new URL("./remote.worker.ts", import.meta.url), { type: "module", name: "mobkit-remote" }));
  const remote = new RemoteClient(address, { send, tab: pageStorage("sessionStorage") });
  // The network is back, or so the browser says: no reason to wait for the pause's end.
  addEventListener("online", () => remote.retryNow());
  return new Session(remote, { storageName: address.base, settings: rememberedFor(`remote/${address.base}`), servedDefinition, remote });
}

function begin(root: HTMLElement): void {
  const runtime = query.get("runtime");
  let session: Session;
  try {
    session = runtime === null ? ownSession() : remoteSession(runtime);
  } catch (error) {
    mountRefusal(toConsoleError(error), root);
    return;
  }
  mount(session, root);
  void session.start();
}

const root = document.getElementById("app");
if (!root) throw new Error("the document has no element #app");
begin(root);
