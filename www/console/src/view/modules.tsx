// The modules, and what stands on them. Each part is a panel of its own; together they have one tab.

import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import type { ModuleHealth, ModuleRestartPolicy, ModuleStatus } from "mobkit-web";
import type { App, ModulesView } from "../app.ts";
import { ErrorText } from "./error.tsx";
import { MemoryPanel } from "./memory.tsx";
import { Confirm } from "./member-actions.tsx";
import { Act, heldBack, Reading, ReadOnly, useLive, useOrder } from "./panel.tsx";
import { RoutingPanel } from "./routing.tsx";
import { SchedulesPanel } from "./schedules.tsx";

const PARTS: readonly (readonly [ModulesView, string])[] = [
  ["modules", "Modules"],
  ["routing", "Routing"],
  ["schedules", "Schedules"],
  ["memory", "Memory"],
];

export function ModulesPanel({ app }: { app: App }) {
  const part = app.modulesView.value;
  return (
    <section class="page-panel wide" data-testid="modules-panel" aria-label="Modules">
      <nav class="subnav" aria-label="Parts">
        {PARTS.map(([view, label]) => (
          <button key={view} type="button" data-testid={`part-${view}`} aria-current={part === view ? "page" : undefined} onClick={() => (app.modulesView.value = view)}>
            {label}
          </button>
        ))}
      </nav>
      <ReadOnly app={app} />
      {part === "modules" ? <ModuleList app={app} /> : part === "routing" ? <RoutingPanel app={app} /> : part === "schedules" ? <SchedulesPanel app={app} /> : <MemoryPanel app={app} />}
    </section>
  );
}

const HEALTH: Readonly<Record<ModuleHealth | "none", readonly [string, string]>> = {
  starting: ["is being started", "running"],
  healthy: ["runs", "idle"],
  failed: ["has failed", "broken"],
  restarting: ["is started again", "waiting_model"],
  stopped: ["does not run", "dormant"],
  none: ["was never started here", "dormant"],
};

const POLICY: Readonly<Record<ModuleRestartPolicy, string>> = {
  never: "not started again by itself",
  on_failure: "started again when it fails",
  always: "started again whenever it ends",
};

function ModuleList({ app }: { app: App }) {
  const live = useLive<{ modules: ModuleStatus[] }>(app, "mobkit/modules/list");
  return (
    <>
      <h2>Modules</h2>
      <p class="lede">Modules give the mob tools, and carry out what it routes. The runtime starts them, watches them and starts them again.</p>
      <Reading live={live} what="the modules" />
      {live.data?.modules.length === 0 && (
        <p class="card quiet" data-testid="modules-empty">
          This mob has no modules. They are given to the runtime when it is built; routing and deliveries need two that it has built in, <code>router</code> and <code>delivery</code>.
        </p>
      )}
      {live.data?.modules.map((module) => (
        <Module key={module.module_id} app={app} module={module} onDone={() => void live.read()} />
      ))}
    </>
  );
}

function Module({ app, module, onDone }: { app: App; module: ModuleStatus; onDone: () => void }) {
  const order = useOrder();
  const asking = useSignal(false);
  const last = useRef("");
  const id = module.module_id;
  const [words, dot] = HEALTH[module.health ?? "none"];
  const runs = module.health === "healthy" || module.health === "starting" || module.health === "restarting";
  const why = heldBack(app);
  const give = async (what: string, method: string): Promise<void> => {
    last.current = what;
    await order.run(() => app.call(method, { module_id: id }));
    onDone();
  };
  return (
    <article class="card item" data-testid="module" data-module={id} data-health={module.health ?? "none"} aria-label={`Module ${id}`}>
      <header class="item-head">
        <span class={`dot state-${dot}`} aria-hidden="true" />
        <h3>{id}</h3>
        <span class="quiet">{words}</span>
        <span class="item-acts">
          <Act why={why} busy={order.busy} testId="module-start" label={`${runs ? "Restart" : "Start"} ${id}`} onClick={() => void give(runs ? "Not restarted" : "Not started", "mobkit/spawn_member")}>
            {runs ? "Restart" : "Start"}
          </Act>
          <Act why={why ?? (runs ? undefined : "It does not run.")} busy={order.busy} kind="danger" testId="module-stop" label={`Stop ${id}`} onClick={() => (asking.value = true)}>
            Stop…
          </Act>
        </span>
      </header>
      {order.error && <ErrorText what={last.current} error={order.error} />}
      <dl class="facts">
        <dt>Restarts</dt>
        <dd>
          {module.restarts}, {POLICY[module.restart_policy] ?? module.restart_policy}
        </dd>
        <dt>Tools</dt>
        <dd>{module.tools.length === 0 ? <span class="quiet">none, as far as it has said</span> : <Names names={module.tools} />}</dd>
        {module.error !== undefined && (
          <>
            <dt>Last error</dt>
            <dd class="bad-text" data-testid="module-error">
              {module.error}
            </dd>
          </>
        )}
        {module.transitions.length > 0 && (
          <>
            <dt>Lately</dt>
            <dd>
              <ol class="chain" aria-label="Changes of its health, the newest last">
                {module.transitions.slice(-8).map((transition, at) => (
                  <li key={at} data-to={transition.to}>
                    {transition.to}
                    {transition.to === "restarting" && ` (${transition.attempt})`}
                  </li>
                ))}
              </ol>
            </dd>
          </>
        )}
      </dl>
      {asking.value && (
        <Confirm
          title={`Stop ${id}?`}
          text="Whoever calls its tools hears that it is not there, until somebody starts it again."
          action="Stop"
          danger
          onClose={() => (asking.value = false)}
          onConfirm={() => void give("Not stopped", "mobkit/modules/stop")}
        />
      )}
    </article>
  );
}

function Names({ names }: { names: readonly string[] }) {
  return (
    <ul class="names-list">
      {names.map((name) => (
        <li key={name}>
          <code>{name}</code>
        </li>
      ))}
    </ul>
  );
}
