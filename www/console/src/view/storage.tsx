// What is stored, how much, whether the browser promises to keep it; taking it out, and erasing it.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { type ConsoleError, toConsoleError } from "../client.ts";
import type { Session } from "../session.ts";
import { bytes, count, Dialog } from "./common.tsx";
import { ErrorText } from "./error.tsx";
import { RemoteStorage } from "./remote.tsx";

interface Usage {
  rows: number;
  bytes: number;
  origin_usage: number | null;
  origin_quota: number | null;
}

export function StoragePanel({ session }: { session: Session }) {
  return session.remote ? <RemoteStorage app={session.app} remote={session.remote} /> : <OwnStorage session={session} />;
}

function OwnStorage({ session }: { session: Session }) {
  const { app } = session;
  const usage = useSignal<Usage | undefined>(undefined);
  const persisted = useSignal<boolean | "unknown" | "refused">("unknown");
  const error = useSignal<{ what: string; error: ConsoleError } | undefined>(undefined);
  const exporting = useSignal<number | undefined>(undefined);
  const erasing = useSignal(false);
  // New entries are a reason to count again, at most once in two seconds while somebody looks.
  const stamp = Math.floor((app.ledgerVersion.value + app.chatVersion.value) / 20);

  const attempt = async (what: string, action: () => Promise<void>): Promise<void> => {
    try {
      await action();
      if (error.value?.what === what) error.value = undefined;
    } catch (caught) {
      error.value = { what, error: toConsoleError(caught) };
    }
  };
  const read = (): Promise<void> =>
    attempt("Reading the usage", async () => {
      usage.value = await app.control<Usage>("usage");
      // Only a page may ask: workers have no persist(). Insecure contexts have no storage manager at all.
      if (persisted.value !== "refused") persisted.value = navigator.storage?.persisted ? await navigator.storage.persisted() : "unknown";
    });
  useEffect(() => {
    const timer = setTimeout(() => void read(), usage.value === undefined ? 0 : 2000);
    return () => clearTimeout(timer);
  }, [stamp]);

  const keep = (): Promise<void> =>
    attempt("Asking the browser", async () => {
      persisted.value = (await navigator.storage.persist()) ? true : "refused";
    });
  const takeOut = (): Promise<void> =>
    attempt("Exporting", async () => {
      exporting.value = 0;
      try {
        const stream = await app.control<ReadableStream<Uint8Array>>("export");
        const parts: Uint8Array<ArrayBuffer>[] = [];
        const reader = stream.getReader();
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          parts.push(new Uint8Array(value));
          exporting.value += value.byteLength;
        }
        download(new Blob(parts, { type: "application/jsonl" }), `${session.env.storageName}-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.jsonl`);
      } finally {
        exporting.value = undefined;
      }
    });

  const quota = usage.value?.origin_quota ?? null;
  const used = usage.value?.origin_usage ?? null;
  return (
    <section class="page-panel" data-testid="storage-panel" aria-labelledby="storage-title">
      <h2 id="storage-title">Storage</h2>
      <p class="lede">
        Roster, wiring, conversations, ledger and open work are rows in this browser's IndexedDB, under the name <code>{session.env.storageName}</code>. Nothing of it leaves this computer by itself.
      </p>
      <dl class="figures">
        <div>
          <dt>Stored by this mob</dt>
          <dd data-testid="storage-bytes">{usage.value ? bytes(usage.value.bytes) : "…"}</dd>
        </div>
        <div>
          <dt>Rows</dt>
          <dd data-testid="storage-rows">{usage.value ? count(usage.value.rows) : "…"}</dd>
        </div>
        <div>
          <dt>Ledger entries</dt>
          <dd>{count(app.ledger.length)}</dd>
        </div>
        <div>
          <dt>Agent events up to</dt>
          <dd>{count(Math.max(app.status.value?.latest_event_cursor ?? 0, ...[...app.chats.values()].map((chat) => chat.cursor)))}</dd>
        </div>
      </dl>
      {quota !== null && used !== null && (
        <div class="quota">
          <meter min={0} max={quota} high={quota * 0.8} value={used} aria-label="Used of what the browser allows" />
          <p class="quiet">
            This site uses {bytes(used)} of the {bytes(quota)} that the browser allows it.
          </p>
        </div>
      )}
      <div class="card">
        <h3>Keep it</h3>
        <p data-testid="storage-persistence">
          {persisted.value === true
            ? "The browser has promised to keep this storage until you clear it."
            : persisted.value === "refused"
              ? "The browser did not promise it. It decides by how you use the site: a bookmark or an installed page helps. Until then it may discard the storage when space runs out."
              : persisted.value === "unknown"
                ? "The browser does not say whether it keeps this storage."
                : "The browser may discard this storage when space runs out."}
        </p>
        {(persisted.value === false || persisted.value === "refused") && (
          <button type="button" onClick={() => void keep()}>
            Ask the browser to keep it
          </button>
        )}
      </div>
      <div class="card">
        <h3>Take it out</h3>
        <p>Every row as one line of JSON, readable without this program.</p>
        <button type="button" data-testid="storage-export" disabled={exporting.value !== undefined} onClick={() => void takeOut()}>
          {exporting.value === undefined ? "Export" : `Exporting… ${bytes(exporting.value)}`}
        </button>
      </div>
      <div class="card">
        <h3>Erase it</h3>
        <p>The mob ends and begins anew from its definition. This cannot be undone.</p>
        <button type="button" class="danger" data-testid="storage-erase" disabled={app.readOnly.value} onClick={() => (erasing.value = true)}>
          Erase everything…
        </button>
      </div>
      {error.value && <ErrorText what={error.value.what} error={error.value.error} />}
      {erasing.value && (
        <EraseDialog
          name={session.env.storageName}
          onClose={() => (erasing.value = false)}
          onErase={() => {
            erasing.value = false;
            void attempt("Erasing", () => session.erase());
          }}
        />
      )}
    </section>
  );
}

function EraseDialog({ name, onClose, onErase }: { name: string; onClose: () => void; onErase: () => void }) {
  const typed = useSignal("");
  return (
    <Dialog title="Erase everything?" onClose={onClose}>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          if (typed.value === name) onErase();
        }}
      >
        <p>
          All members, conversations and the ledger stored under <code>{name}</code> will be deleted. Export first if you may want them again.
        </p>
        <label>
          Type {name} to confirm
          <input value={typed.value} autocomplete="off" data-testid="erase-confirm" onInput={(event) => (typed.value = event.currentTarget.value)} />
        </label>
        <div class="buttons">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="danger" disabled={typed.value !== name}>
            Erase
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function download(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The click has started the download; the address is needed no longer than that.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
