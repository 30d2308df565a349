// What the mob holds to be true, by store, and where it contradicts itself.

import { useSignal } from "@preact/signals";
import type { MemoryAssertion, MemoryConflictSignal } from "mobkit-web";
import type { App } from "../app.ts";
import { faultOf, paramsOf } from "../store/modules.ts";
import { count, Time } from "./common.tsx";
import { ErrorText } from "./error.tsx";
import { Act, Field, heldBack, Long, Reading, useLive, useOrder, Value } from "./panel.tsx";

/** How many facts are shown at a time. */
const SHOWN = 50;

const words = (store: string): string => store.replaceAll("_", " ");

export function MemoryPanel({ app }: { app: App }) {
  const query = useSignal({ entity: "", topic: "", store: "" });
  const stores = useLive<{ stores: { store: string; record_count: number }[] }>(app, "mobkit/memory/stores");
  const live = useLive<{ assertions: MemoryAssertion[]; conflicts: MemoryConflictSignal[] }>(app, "mobkit/memory/query", paramsOf(query.value, ["entity", "topic", "store"]));
  const names = stores.data?.stores.map(({ store }) => store) ?? [];
  const anew = (): void => {
    void stores.read();
    void live.read();
  };
  const change = (part: Partial<typeof query.value>): void => void (query.value = { ...query.value, ...part });
  const filtered = Object.values(query.value).some((text) => text.trim() !== "");
  const facts = live.data?.assertions.toReversed() ?? [];
  const conflicts = live.data?.conflicts ?? [];
  return (
    <>
      <h2>Memory</h2>
      <p class="lede">Facts that modules and people have noted, each about a topic of an entity. While there is a conflict about something, gating refuses what is of tier r2 or r3 and about that.</p>
      {stores.error && <ErrorText what="Reading the stores" error={stores.error} />}
      <dl class="figures stores" data-testid="stores">
        {stores.data?.stores.map(({ store, record_count }) => (
          <div key={store} data-store={store}>
            <dt>{words(store)}</dt>
            <dd>{count(record_count)}</dd>
          </div>
        ))}
      </dl>
      <div class="field-grid" role="search" aria-label="Find in memory" data-testid="memory-query">
        <Field label="Entity" name="entity" value={query.value.entity} placeholder="any" onInput={(entity) => change({ entity })} />
        <Field label="Topic" name="topic" value={query.value.topic} placeholder="any" onInput={(topic) => change({ topic })} />
        <Field label="Store" name="store" value={query.value.store} options={[["", "all stores"], ...names.map((name) => [name, words(name)] as const)]} onInput={(store) => change({ store })} />
      </div>
      <Reading live={live} what="the memory" />
      {conflicts.length > 0 && (
        <section class="card" aria-labelledby="conflicts-title">
          <h3 id="conflicts-title">Conflicts</h3>
          <ul class="rows" data-testid="conflicts">
            {conflicts.map((conflict) => (
              <Conflict key={`${conflict.entity}\n${conflict.topic}\n${conflict.store}`} app={app} conflict={conflict} onDone={anew} />
            ))}
          </ul>
        </section>
      )}
      <section class="card" aria-labelledby="facts-title">
        <h3 id="facts-title">Facts</h3>
        {live.data && facts.length === 0 && (
          <p data-testid="facts-empty">{filtered ? "Nothing is known about that. Entity and topic are compared as a whole, in lower case." : "Nothing is remembered yet. Modules note what they find out; so can you, below."}</p>
        )}
        {facts.length > 0 && (
          <ul class="rows" data-testid="facts">
            {facts.slice(0, SHOWN).map((fact) => (
              <li key={fact.assertion_id} data-fact={fact.assertion_id}>
                <div class="row-text">
                  <Long text={fact.fact} label={`Fact ${fact.assertion_id}`} />
                  <p class="quiet">
                    <Subject of={fact} /> · <Time at={fact.indexed_at_ms} />
                  </p>
                  {fact.metadata !== undefined && fact.metadata !== null && (
                    <details>
                      <summary class="quiet">Metadata</summary>
                      <Value value={fact.metadata} label={`Metadata of ${fact.assertion_id}`} />
                    </details>
                  )}
                </div>
              </li>
            ))}
          </ul>
        )}
        {facts.length > SHOWN && (
          <p class="quiet">
            The newest {SHOWN} of {count(facts.length)}. Say above which you look for.
          </p>
        )}
      </section>
      <Remember app={app} stores={names} onDone={anew} />
    </>
  );
}

function Subject({ of }: { of: { entity: string; topic: string; store: string } }) {
  return (
    <>
      <b>{of.topic}</b> of <b>{of.entity}</b> in {words(of.store)}
    </>
  );
}

function Conflict({ app, conflict, onDone }: { app: App; conflict: MemoryConflictSignal; onDone: () => void }) {
  const order = useOrder();
  const { entity, topic, store } = conflict;
  return (
    <li data-conflict={`${entity}/${topic}`}>
      <div class="row-text">
        <p class="long">
          <Subject of={conflict} />
        </p>
        {conflict.reason !== undefined && <Long text={conflict.reason} label={`Why ${topic} of ${entity} is in conflict`} />}
        <p class="quiet">
          <Time at={conflict.updated_at_ms} />
        </p>
        {order.error && <ErrorText what="Not resolved" error={order.error} />}
      </div>
      <Act why={heldBack(app)} busy={order.busy} label={`The conflict about ${topic} of ${entity} is resolved`} onClick={() => void order.run(() => app.call("mobkit/memory/resolve_conflict", { entity, topic, store })).then(onDone)}>
        Resolved
      </Act>
    </li>
  );
}

const NEW = { entity: "", topic: "", store: "", fact: "", conflict_reason: "" };

function Remember({ app, stores, onDone }: { app: App; stores: readonly string[]; onDone: () => void }) {
  const form = useSignal(NEW);
  const conflict = useSignal(false);
  const order = useOrder();
  const fault = faultOf(order.error, Object.keys(NEW));
  const field = (name: keyof typeof NEW) => ({ name, value: form.value[name], fault, onInput: (value: string) => void (form.value = { ...form.value, [name]: value }) });
  return (
    <section class="card" aria-labelledby="remember-title">
      <h3 id="remember-title">Remember something</h3>
      <form
        class="form"
        noValidate
        aria-labelledby="remember-title"
        data-testid="memory-form"
        onSubmit={(event) => {
          event.preventDefault();
          const { conflict_reason, ...fact } = form.value;
          const params = { ...paramsOf(fact, ["store", "fact"]), ...(conflict.value ? { conflict: true, ...paramsOf({ conflict_reason }, ["conflict_reason"]) } : {}) };
          void order.run(() => app.call("mobkit/memory/index", params)).then((done) => {
            if (!done) return;
            form.value = NEW;
            conflict.value = false;
            onDone();
          });
        }}
      >
        <div class="field-grid">
          <Field label="Entity" {...field("entity")} hint="What it is about." />
          <Field label="Topic" {...field("topic")} hint="What of it." />
          <Field label="Store" {...field("store")} options={[["", "knowledge graph"], ...stores.filter((store) => store !== "knowledge_graph").map((store) => [store, words(store)] as const)]} />
        </div>
        <Field label="Fact" {...field("fact")} rows={2} optional={conflict.value} />
        <label class="check">
          <input type="checkbox" checked={conflict.value} onChange={(event) => (conflict.value = event.currentTarget.checked)} />
          It contradicts what is known
        </label>
        {conflict.value && <Field label="Why" {...field("conflict_reason")} optional />}
        {order.error && !fault && <ErrorText what="Not remembered" error={order.error} />}
        <div class="buttons start">
          <Act why={heldBack(app)} busy={order.busy} kind="primary" testId="memory-add">
            Remember
          </Act>
        </div>
      </form>
    </section>
  );
}
