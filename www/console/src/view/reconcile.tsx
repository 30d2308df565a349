// The roster as it ought to be: edited as JSON, reconciled, and what that did. Edges and discovery beside it.

import { useSignal } from "@preact/signals";
import type { App } from "../app.ts";
import { type ConsoleError, toConsoleError } from "../client.ts";
import { parseSpecs, type Plan, planOf, specsOf, specsText } from "../store/desired.ts";
import { edgeLines, memberLines, type ReportLine, reportOf } from "../store/report.ts";
import type { EdgesReport, MemberSpec, ReconcileReport, RediscoverAnswer } from "../wire.ts";
import { ErrorText } from "./error.tsx";
import { Confirm } from "./member-actions.tsx";

/** What the last command came to. */
interface Outcome {
  title: string;
  lines: ReportLine[];
  /** Said in place of lines. */
  nothing: string;
  failed: boolean;
}

export function Reconcile({ app }: { app: App }) {
  const draft = app.rosterDraft;
  const text = draft.value ?? specsText(specsOf(app.members.value.values()));
  const parsed = parseSpecs(text);
  const plan = parsed.specs && planOf(parsed.specs, app.members.value);
  const busy = useSignal(false);
  const error = useSignal<{ what: string; error: ConsoleError } | undefined>(undefined);
  const outcome = useSignal<Outcome | undefined>(undefined);
  const asking = useSignal<"reconcile" | "rediscover" | undefined>(undefined);
  const disabled = app.readOnly.value || busy.value;

  /** Runs a command; its failure is shown, and what was typed stays. */
  const run = async (what: string, action: () => Promise<Outcome>): Promise<void> => {
    busy.value = true;
    error.value = undefined;
    outcome.value = undefined;
    try {
      outcome.value = await action();
    } catch (caught) {
      error.value = { what, error: toConsoleError(caught) };
    }
    busy.value = false;
    await app.attempt("Reading the roster", () => app.refresh());
  };
  const reconcile = (specs: MemberSpec[]): Promise<void> =>
    run("Not reconciled", async () => {
      let report: ReconcileReport;
      let failed = false;
      try {
        report = await app.call<ReconcileReport>("mobkit/reconcile_members", { specs });
      } catch (caught) {
        const partial = reportOf(toConsoleError(caught).data);
        if (!partial) throw caught;
        report = partial;
        failed = true;
      }
      // What could not be done stays in the field, to be mended.
      if (!failed) draft.value = undefined;
      return { title: failed ? "Reconciled in part" : "Reconciled", lines: [...memberLines(report), ...edgeLines(report.edges)], nothing: "The mob has no members.", failed };
    });
  const reconcileEdges = (): Promise<void> =>
    run("Edges not reconciled", async () => edgesOutcome("Edges reconciled", await app.call<EdgesReport>("mobkit/reconcile_edges")));
  const rediscover = (): Promise<void> =>
    run("Not rediscovered", async () => {
      const answer = await app.call<RediscoverAnswer>("mobkit/rediscover");
      if (answer.status !== undefined) return { title: "Nothing to discover", lines: [], nothing: "This mob has no discovery: its members come from its definition and from people.", failed: false };
      const spawned: ReportLine[] = answer.spawned.length > 0 ? [{ key: "spawned", title: "Spawned", items: answer.spawned, tone: "good" }] : [];
      const edges = edgesOutcome("Rediscovered", answer.edges);
      return { ...edges, lines: [...spawned, ...edges.lines], nothing: "The discovery named nobody." };
    });

  return (
    <>
      <form
        class="card roster-editor"
        aria-labelledby="roster-title"
        onSubmit={(event) => {
          event.preventDefault();
          if (!parsed.specs || disabled) return;
          if (plan && plan.retire.length > 0) asking.value = "reconcile";
          else void reconcile(parsed.specs);
        }}
      >
        <h3 id="roster-title">Roster</h3>
        <p>The members that ought to be there. Reconciling spawns those that are missing and retires those that are not named. A member that is there already stays as it is.</p>
        <textarea
          class="code"
          spellcheck={false}
          aria-label="Desired roster in JSON"
          aria-invalid={parsed.fault !== undefined}
          aria-describedby="roster-plan"
          data-testid="roster-text"
          value={text}
          onInput={(event) => (draft.value = event.currentTarget.value)}
        />
        <div id="roster-plan" data-testid="roster-plan">
          {parsed.fault !== undefined ? (
            <p class="field-fault" role="alert" data-testid="roster-fault">
              {parsed.fault}
            </p>
          ) : (
            plan && <PlanText plan={plan} />
          )}
        </div>
        <div class="buttons start">
          <button type="submit" class="primary" data-testid="reconcile" disabled={disabled || parsed.specs === undefined}>
            Reconcile members
          </button>
          {draft.value !== undefined && (
            <button type="button" onClick={() => (draft.value = undefined)}>
              Undo the edit
            </button>
          )}
        </div>
      </form>
      <div class="card">
        <h3>Edges and discovery</h3>
        <p>Reconciling the edges wires and unwires what the edge discovery wants. Rediscovering replaces all members by those that the discovery names.</p>
        <div class="buttons start">
          <button type="button" data-testid="reconcile-edges" disabled={disabled} onClick={() => void reconcileEdges()}>
            Reconcile edges
          </button>
          <button type="button" data-testid="rediscover" disabled={disabled} onClick={() => (asking.value = "rediscover")}>
            Rediscover…
          </button>
        </div>
      </div>
      {error.value && <ErrorText what={error.value.what} error={error.value.error} />}
      <div role="status">{outcome.value && <Report outcome={outcome.value} />}</div>
      {asking.value === "reconcile" && parsed.specs && plan && (
        <Confirm
          title="Reconcile the members?"
          text={`This retires ${plan.retire.join(", ")}. What they said stays in the log.`}
          action="Reconcile"
          danger
          onClose={() => (asking.value = undefined)}
          onConfirm={() => void reconcile(parsed.specs)}
        />
      )}
      {asking.value === "rediscover" && (
        <Confirm
          title="Rediscover the mob?"
          text="If it has a discovery, all members are replaced by those that it names, and begin anew."
          action="Rediscover"
          danger
          onClose={() => (asking.value = undefined)}
          onConfirm={() => void rediscover()}
        />
      )}
    </>
  );
}

function edgesOutcome(title: string, edges: EdgesReport): Outcome {
  return { title, lines: edgeLines(edges), nothing: "No edge had to change: there is no edge discovery, or it wants none.", failed: edges.failures.length > 0 };
}

/** What reconciling would do now. */
function PlanText({ plan }: { plan: Plan }) {
  const idle = plan.spawn.length === 0 && plan.retire.length === 0;
  return (
    <ul class="plan">
      {idle && <li>Everybody named is there, and nobody else.</li>}
      {plan.spawn.length > 0 && (
        <li>
          Would spawn <b>{plan.spawn.join(", ")}</b>.
        </li>
      )}
      {plan.retire.length > 0 && (
        <li>
          Would retire <b>{plan.retire.join(", ")}</b>.
        </li>
      )}
      {plan.unheeded.map(({ identity, what }) => (
        <li key={identity}>
          <b>{identity}</b> is there and keeps its present {what.join(" and ")}.
        </li>
      ))}
    </ul>
  );
}

function Report({ outcome }: { outcome: Outcome }) {
  return (
    <section class={`card report${outcome.failed ? " failed" : ""}`} data-testid="reconcile-report" aria-labelledby="report-title">
      <h3 id="report-title">{outcome.title}</h3>
      {outcome.lines.length === 0 ? (
        <p>{outcome.nothing}</p>
      ) : (
        <dl>
          {outcome.lines.map(({ key, title, items, tone }) => (
            <div key={key} data-line={key} class={`tone-${tone}`}>
              <dt>{title}</dt>
              {items.map((item) => (
                <dd key={item}>{item}</dd>
              ))}
            </div>
          ))}
        </dl>
      )}
    </section>
  );
}
