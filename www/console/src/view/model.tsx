// Which model the mob thinks with: the embedded demo, or a server with an OpenAI-compatible interface.

import { useSignal } from "@preact/signals";
import type { App } from "../app.ts";
import { type ConsoleError, toConsoleError } from "../client.ts";
import { modelRequest, type Session } from "../session.ts";
import type { ModelChoice } from "../settings.ts";
import { Icon } from "./common.tsx";
import { ErrorText } from "./error.tsx";

type Tested = { ok: true; provider: string; text: string; elapsed_ms: number } | { ok: false; error: { code: string; message: string; data?: unknown }; elapsed_ms: number };

export function ModelPanel({ session }: { session: Session }) {
  return session.remote ? <RemoteModels app={session.app} host={session.remote.address.host} /> : <OwnModel session={session} />;
}

function OwnModel({ session }: { session: Session }) {
  const { app, settings } = session;
  const remembered = settings.model.value;
  const kind = useSignal(remembered.kind);
  const baseUrl = useSignal(remembered.kind === "openai" ? remembered.baseUrl : "");
  const model = useSignal(remembered.kind === "openai" ? remembered.model : "");
  const key = useSignal("");
  const busy = useSignal<"test" | "use" | undefined>(undefined);
  const tested = useSignal<Tested | undefined>(undefined);
  const error = useSignal<ConsoleError | undefined>(undefined);
  const done = useSignal(false);
  const now = session.model.value;
  const waiting = app.waiting.value;
  const needsKey = now.kind === "none";
  // An unchanged address goes on with the key that the worker has in memory, unless another one is typed.
  const apiKey = key.value !== "" ? key.value : now.kind === "openai" && now.baseUrl === baseUrl.value.trim() ? (now.apiKey ?? "") : "";

  const choice = (): ModelChoice => (kind.value === "demo" ? { kind: "demo" } : { kind: "openai", baseUrl: baseUrl.value.trim(), model: model.value.trim(), needsKey: false });
  const run = async (what: "test" | "use", action: () => Promise<void>): Promise<void> => {
    busy.value = what;
    error.value = undefined;
    done.value = false;
    try {
      await action();
    } catch (caught) {
      error.value = toConsoleError(caught);
    }
    busy.value = undefined;
  };
  const test = (): Promise<void> =>
    run("test", async () => {
      tested.value = undefined;
      tested.value = await app.control<Tested>("test_model", modelRequest(choice(), apiKey));
    });
  const use = (): Promise<void> =>
    run("use", async () => {
      await session.useModel(choice(), kind.value === "demo" ? "" : apiKey);
      key.value = "";
      done.value = true;
    });
  const changed = (): void => {
    tested.value = undefined;
    done.value = false;
  };

  return (
    <section class="page-panel" data-testid="model-settings" aria-labelledby="model-title">
      <h2 id="model-title">Model</h2>
      <p class="lede">
        {now.kind === "demo"
          ? "The mob thinks with the demo: a small script inside this page, not a language model."
          : now.kind === "openai"
            ? `The mob thinks with ${now.model ? `${now.model} at ` : ""}${now.baseUrl}.`
            : "The mob has no model at the moment: the key that it needs was in memory only and went with the last visit."}
      </p>
      {(waiting || needsKey) && (
        <div class="callout" role="status" data-testid="model-key-needed">
          <Icon name="warn" />
          <p>
            {waiting ? `${app.person(waiting.identity).name} has work that waits for its model. ` : ""}
            {needsKey ? "Give the key again and the work goes on where it stopped." : waiting?.reason}
          </p>
        </div>
      )}
      <form
        class="form model-form"
        onSubmit={(event) => {
          event.preventDefault();
          void use();
        }}
      >
        <fieldset class="cards">
          <legend class="visually-hidden">Kind of model</legend>
          <label class="radio-card">
            <input
              type="radio"
              name="kind"
              value="demo"
              checked={kind.value === "demo"}
              onChange={() => {
                kind.value = "demo";
                changed();
              }}
            />
            <span>
              <b>Demo</b>
              <small>Scripted, embedded, no network. It shows how a mob works; it does not think.</small>
            </span>
          </label>
          <label class="radio-card">
            <input
              type="radio"
              name="kind"
              value="openai"
              checked={kind.value === "openai"}
              onChange={() => {
                kind.value = "openai";
                changed();
              }}
            />
            <span>
              <b>OpenAI-compatible server</b>
              <small>Any address with chat completions and streaming: a provider, a proxy, or a model on this computer.</small>
            </span>
          </label>
        </fieldset>
        {kind.value === "openai" && (
          <>
            <label>
              Address
              <input
                name="base-url"
                type="url"
                required
                placeholder="http://localhost:11434/v1"
                value={baseUrl.value}
                onInput={(event) => {
                  baseUrl.value = event.currentTarget.value;
                  changed();
                }}
              />
            </label>
            <label>
              Model name
              <input
                name="model"
                placeholder="as the definition names it"
                value={model.value}
                onInput={(event) => {
                  model.value = event.currentTarget.value;
                  changed();
                }}
              />
              <small>Sent for every member. Left empty, each profile's own model name is sent.</small>
            </label>
            <label>
              Key
              <input
                name="api-key"
                type="password"
                autocomplete="off"
                placeholder={apiKey !== "" && key.value === "" ? "in memory" : "none"}
                value={key.value}
                onInput={(event) => {
                  key.value = event.currentTarget.value;
                  changed();
                }}
              />
              <small>
                Kept in the memory of this page and its worker only, never stored. After a reload it is asked for again when work waits for it.
              </small>
            </label>
          </>
        )}
        {tested.value &&
          (tested.value.ok ? (
            <p class="ok-text" role="status" data-testid="model-test-ok">
              <Icon name="check" /> It answered in {Math.round(tested.value.elapsed_ms)} ms{tested.value.text ? `: “${tested.value.text.slice(0, 120)}”` : "."}
            </p>
          ) : (
            <ErrorText what="The test failed" error={toConsoleError(tested.value.error)} />
          ))}
        {error.value && <ErrorText error={error.value} />}
        {done.value && (
          <p class="ok-text" role="status" data-testid="model-in-use">
            <Icon name="check" /> In use from now on.
          </p>
        )}
        <div class="buttons start">
          <button type="button" data-testid="model-test" disabled={busy.value !== undefined || app.client.value.state === "starting"} onClick={(event) => event.currentTarget.form?.reportValidity() && void test()}>
            {busy.value === "test" ? "Testing…" : "Test"}
          </button>
          <button type="submit" class="primary" data-testid="model-use" disabled={busy.value !== undefined || app.readOnly.value}>
            {busy.value === "use" ? "Changing…" : kind.value === "demo" ? "Use the demo" : "Use this model"}
          </button>
        </div>
      </form>
      <Models app={app} />
    </section>
  );
}

/** The definition's model names, and what serves them. */
function Models({ app }: { app: App }) {
  const models = app.status.value?.models ?? {};
  if (Object.keys(models).length === 0) return null;
  return (
    <div class="card">
      <h3>Models of the definition</h3>
      <table class="plain-table">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Served by</th>
            <th scope="col">State</th>
          </tr>
        </thead>
        <tbody>
          {Object.entries(models).map(([name, entry]) => (
            <tr key={name}>
              <td>
                <code>{name}</code>
              </td>
              <td>{entry.is_demo ? "demo" : entry.provider}</td>
              <td>
                {entry.availability}
                {entry.reason ? `: ${entry.reason}` : ""}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** A server's mob has the models that the server gives it. */
function RemoteModels({ app, host }: { app: App; host: string }) {
  return (
    <section class="page-panel" data-testid="model-settings" aria-labelledby="model-title">
      <h2 id="model-title">Model</h2>
      <p class="lede">What the mob thinks with is set at {host}, where its keys are too. It is changed there, not from here.</p>
      <Models app={app} />
    </section>
  );
}
