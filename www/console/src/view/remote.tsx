// What is different for a mob that a server has: which one it is, whether it answers, and what can be seen of it but not changed from here.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { App } from "../app.ts";
import { type ConsoleError, toConsoleError } from "../client.ts";
import type { RemoteClient } from "../remote/client.ts";
import { count, Icon, pretty } from "./common.tsx";
import { ErrorText } from "./error.tsx";

/** How it stands with the connection, in a word or two. */
export function connectionOf(app: App, remote: RemoteClient): { state: string; words: string } {
  if (remote.signIn.value.needed) return { state: "signed-out", words: "signed out" };
  const { state, error } = app.client.value;
  if (state === "leader") return { state: "connected", words: "connected" };
  if (state === "stopped") return { state: "closed", words: "closed" };
  if (state === "crashed") return { state: "away", words: "not connected" };
  return error ? { state: "away", words: "no answer yet" } : { state: "connecting", words: "connecting" };
}

/** The foot of the sidebar: whose mob this is. */
export function RuntimeFoot({ app, remote, onSignOut }: { app: App; remote: RemoteClient; onSignOut: () => void }) {
  const { state, words } = connectionOf(app, remote);
  return (
    <footer class="runtime-foot" data-testid="runtime" data-connection={state}>
      <span class={`dot ${DOTS[state] ?? ""}`} aria-hidden="true" />
      <p title={remote.address.base}>
        <span>
          <b>{app.status.value?.mob_id ?? "A mob"}</b>{" "}
          <span class="quiet" role="status">
            {words}
          </span>
        </span>
        <span class="quiet">{remote.address.host}</span>
      </p>
      {remote.hasToken.value && (
        <button type="button" data-testid="sign-out" onClick={onSignOut}>
          Sign out
        </button>
      )}
    </footer>
  );
}

const DOTS: Readonly<Record<string, string>> = { connected: "state-idle", away: "state-broken", connecting: "state-running", "signed-out": "state-dormant", closed: "state-dormant" };

/** The header's place for it, where an own runtime has its model. */
export function RemoteChip({ app, remote }: { app: App; remote: RemoteClient }) {
  const { state, words } = connectionOf(app, remote);
  return (
    <span class={`chip remote-chip${state === "connected" ? "" : " chip-warn"}`} data-testid="remote-chip" title={`${remote.address.base}: ${words}`}>
      <Icon name="remote" />
      <span>{remote.address.host}</span>
      <span class="visually-hidden">: {words}</span>
    </span>
  );
}

/** What stands between this page and the mob. */
export function RemoteBanners({ app, remote }: { app: App; remote: RemoteClient }) {
  const { host, readable } = remote.address;
  const { state, error } = app.client.value;
  const waiting = app.waiting.value;
  const away = error !== null && !remote.signIn.value.needed && (state === "crashed" || state === "starting");
  return (
    <>
      {readable && (
        <div class="banner banner-warn" role="status" data-testid="readable-banner">
          <p>
            <b>This connection can be read.</b> The address is plain http: all that is said, and the token, can be seen by everybody on the way to {host}.
          </p>
        </div>
      )}
      {away && (
        <div class="banner banner-warn" role="status" data-testid="away-banner">
          <p>
            <b>{state === "crashed" ? `The connection to ${host} is lost` : `${host} does not answer yet`}</b> and is tried again, with growing pauses. {error.message}
          </p>
          <button type="button" onClick={() => remote.retryNow()}>
            Try now
          </button>
        </div>
      )}
      {state === "leader" && waiting && (
        <div class="banner banner-warn" role="status" data-testid="waiting-banner">
          <p>
            <b>Work waits for a model.</b> {app.person(waiting.identity).name} cannot go on{waiting.reason ? `: ${waiting.reason}` : "."}
          </p>
        </div>
      )}
    </>
  );
}

/** The definition in force, to read. */
export function RemoteDefinition({ app, remote }: { app: App; remote: RemoteClient }) {
  const text = useSignal<string | undefined>(undefined);
  const error = useSignal<ConsoleError | undefined>(undefined);
  const connected = app.client.value.state === "leader";
  // Anew when the connection is: the server may have been given another one meanwhile.
  useEffect(() => {
    if (!connected) return undefined;
    const abort = new AbortController();
    app.call("mobkit/definition", {}, abort.signal).then(
      (definition) => {
        text.value = pretty(definition);
        error.value = undefined;
      },
      (caught: unknown) => {
        if (!abort.signal.aborted) error.value = toConsoleError(caught);
      },
    );
    return () => abort.abort();
  }, [connected]);
  return (
    <section class="page-panel wide" data-testid="definition-panel" aria-labelledby="definition-title">
      <h2 id="definition-title">Definition</h2>
      <p class="lede">The mob as it is defined at {remote.address.host}: its profiles, who is wired with whom, who leads. It is changed there, not from here.</p>
      {error.value && <ErrorText what="Reading the definition" error={error.value} />}
      {text.value === undefined ? (
        !error.value && <p class="empty">Reading the definition…</p>
      ) : (
        <pre class="code definition-text" tabIndex={0} aria-label="Definition in JSON" data-testid="definition-text">
          {text.value}
        </pre>
      )}
    </section>
  );
}

/** What is stored, as far as it shows from here. */
export function RemoteStorage({ app, remote }: { app: App; remote: RemoteClient }) {
  app.ledgerVersion.value;
  app.chatVersion.value;
  return (
    <section class="page-panel" data-testid="storage-panel" aria-labelledby="storage-title">
      <h2 id="storage-title">Storage</h2>
      <p class="lede">
        What this mob stores lies with the server at {remote.address.host}, and nothing of it in this browser. It is exported and erased there, not from here.
      </p>
      <dl class="figures">
        <div>
          <dt>Ledger entries</dt>
          <dd>{count(app.ledger.length)}</dd>
        </div>
        <div>
          <dt>Agent events up to</dt>
          <dd>{count(Math.max(app.status.value?.latest_event_cursor ?? 0, ...[...app.chats.values()].map((chat) => chat.cursor)))}</dd>
        </div>
      </dl>
    </section>
  );
}
