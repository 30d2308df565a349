// The definition of the mob: what it is, editing it, and what an edit changed over the stored state.

import { useSignal } from "@preact/signals";
import { type ConsoleError, toConsoleError } from "../client.ts";
import type { Session } from "../session.ts";
import type { DefinitionChange } from "../wire.ts";
import { ErrorText } from "./error.tsx";
import { RemoteDefinition } from "./remote.tsx";

const short = (value: unknown): string => {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  return text.length > 160 ? `${text.slice(0, 159)}…` : text;
};

export function Changes({ changes }: { changes: DefinitionChange[] }) {
  return (
    <ul class="changes" data-testid="definition-changes">
      {changes.map((change) => (
        <li key={change.path}>
          <code>{change.path}</code>{" "}
          {change.kind === "added" ? (
            <>
              added: <ins>{short(change.new)}</ins>
            </>
          ) : change.kind === "removed" ? (
            <>
              removed, was <del>{short(change.old)}</del>
            </>
          ) : (
            <>
              <del>{short(change.old)}</del> became <ins>{short(change.new)}</ins>
            </>
          )}
        </li>
      ))}
    </ul>
  );
}

export function DefinitionPanel({ session }: { session: Session }) {
  return session.remote ? <RemoteDefinition app={session.app} remote={session.remote} /> : <OwnDefinition session={session} />;
}

function OwnDefinition({ session }: { session: Session }) {
  const text = useSignal(session.definition.value);
  const busy = useSignal(false);
  const error = useSignal<ConsoleError | undefined>(undefined);
  const changes = session.app.status.value?.definition_changes ?? [];
  const own = session.settings.definition.value !== undefined;
  const apply = async (toml: string | undefined): Promise<void> => {
    busy.value = true;
    error.value = undefined;
    try {
      await session.useDefinition(toml);
      text.value = session.definition.value;
    } catch (caught) {
      error.value = toConsoleError(caught);
    }
    busy.value = false;
  };
  return (
    <section class="page-panel wide" data-testid="definition-panel" aria-labelledby="definition-title">
      <h2 id="definition-title">Definition</h2>
      <p class="lede">
        The mob as TOML: its profiles, who is wired with whom, who leads. An edited definition applies over what is stored: members stay, and one whose profile is gone is kept and shown as broken.
        {own && " You are using your own edit of it."}
      </p>
      {changes.length > 0 && (
        <div class="card">
          <h3>What it changed over the stored state</h3>
          <Changes changes={changes} />
        </div>
      )}
      <textarea
        class="code"
        spellcheck={false}
        aria-label="Definition in TOML"
        data-testid="definition-text"
        value={text.value}
        onInput={(event) => (text.value = event.currentTarget.value)}
      />
      {error.value && <ErrorText what="Not applied" error={error.value} />}
      <div class="buttons start">
        <button type="button" class="primary" data-testid="definition-apply" disabled={busy.value || session.app.readOnly.value || text.value === session.definition.value} onClick={() => void apply(text.value)}>
          {busy.value ? "Applying…" : "Apply and restart"}
        </button>
        {own && (
          <button type="button" disabled={busy.value || session.app.readOnly.value} onClick={() => void apply(undefined)}>
            Back to the served definition
          </button>
        )}
        {text.value !== session.definition.value && (
          <button type="button" onClick={() => (text.value = session.definition.value)}>
            Undo the edit
          </button>
        )}
      </div>
    </section>
  );
}
