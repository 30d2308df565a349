// The inbox of what waits for somebody's decision, and the record of what was allowed and decided.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { GatingAuditEntry, GatingDecision, GatingDecisionResult, GatingOutcome, GatingPendingEntry } from "mobkit-web";
import type { App } from "../app.ts";
import type { Session } from "../session.ts";
import { whoDecides, whyNot } from "../store/modules.ts";
import { Avatar, count, Time } from "./common.tsx";
import { ErrorText } from "./error.tsx";
import { Act, Ago, Countdown, Field, heldBack, Long, Reading, ReadOnly, useLive, useOrder, Value } from "./panel.tsx";

/** How often it is asked what waits though no event says so, for time runs out by itself: while somebody looks at it, and otherwise for the number on the tab. */
const LOOKED_AT_MS = 5_000;
const OTHERWISE_MS = 15_000;

/** Keeps the number of pending decisions right for as long as the page is in sight. */
export function useInbox(session: Session): void {
  const { app } = session;
  const follows = session.boot.value.phase === "ready" && app.caughtUp.value;
  const looks = app.view.value === "approvals";
  useEffect(() => {
    if (!follows) return undefined;
    const ask = (): void => {
      if (!document.hidden) void app.inbox.read();
    };
    ask();
    const timer = setInterval(ask, looks ? LOOKED_AT_MS : OTHERWISE_MS);
    document.addEventListener("visibilitychange", ask);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", ask);
    };
  }, [follows, looks]);
}

export function ApprovalsPanel({ session }: { session: Session }) {
  const { app, settings } = session;
  const { inbox } = app;
  const entries = inbox.entries.value;
  const done = useSignal("");
  return (
    <section class="page-panel wide" data-testid="approvals-panel" aria-labelledby="approvals-title">
      <h2 id="approvals-title">Approvals</h2>
      <p class="lede">Where much is at stake, somebody has to approve first. A tool call that waits here goes on when you decide; until then its member stands still.</p>
      <ReadOnly app={app} />
      <div class="field-grid">
        <Field label="You decide as" name="approver" value={settings.approver.value} placeholder="your name" hint="Remembered in this browser, and written into the record." onInput={(value) => (settings.approver.value = value)} />
      </div>
      <p role="status" class="outcome ok-text" data-testid="decided">
        {done.value}
      </p>
      {inbox.error.value ? <ErrorText what="Reading what waits" error={inbox.error.value} /> : entries === undefined && <p class="quiet">Reading what waits…</p>}
      {entries?.length === 0 && (
        <p class="card quiet" data-testid="approvals-empty">
          Nothing waits for a decision. In the definition, a profile says which of its tools need one: <code>[profiles.writer.tools]</code> with <code>gate = {'{ send_message = "r3" }'}</code>. Modules can ask too.
        </p>
      )}
      {entries?.map((entry) => (
        <Pending key={entry.pending_id} app={app} entry={entry} approver={settings.approver.value} onDone={(words) => (done.value = words)} />
      ))}
      <Audit app={app} />
    </section>
  );
}

const DONE: Readonly<Record<GatingDecision, string>> = { approve: "Approved", reject: "Rejected", escalate: "Passed on" };

function Pending({ app, entry, approver, onDone }: { app: App; entry: GatingPendingEntry; approver: string; onDone: (words: string) => void }) {
  const reason = useSignal("");
  const order = useOrder();
  const call = entry.tool_call;
  const person = app.person(entry.actor_id);
  const what = call?.tool ?? entry.action;
  const decide = (decision: GatingDecision): void => {
    void order
      .run(async () => {
        const said = reason.value.trim();
        const result = await app.call<GatingDecisionResult>("mobkit/gating/decide", { pending_id: entry.pending_id, approver_id: approver.trim(), decision, ...(said === "" ? {} : { reason: said }) });
        onDone(`${DONE[result.decision]}: ${what} of ${person.name}.`);
      })
      .then(() => app.inbox.read());
  };
  const why = (decision: GatingDecision): string | undefined => heldBack(app) ?? whyNot(entry, approver, decision);
  // Who was asked for is said already.
  const hindered = app.readOnly.value || (approver.trim() !== "" && entry.requested_approver !== undefined) ? undefined : (why("reject") ?? why("approve"));
  return (
    <article class="card item pending" data-testid="pending" data-pending={entry.pending_id} data-actor={entry.actor_id} aria-label={`${what}, asked by ${person.name}`}>
      <header class="item-head">
        <Avatar name={entry.actor_id} role={person.role} size="sm" />
        <h3>
          {person.name} {call ? "wants to call" : "wants to"} <code>{what}</code>
        </h3>
        <span class={`badge tier-${entry.risk_tier}`}>{entry.risk_tier}</span>
        <Countdown until={entry.deadline_at_ms} onEnd={() => app.inbox.soon()} />
      </header>
      {entry.rationale !== undefined && <Long text={entry.rationale} label="Why" />}
      {call && <Value value={call.args} label={`Arguments of ${call.tool}`} />}
      <p class="quiet">
        {whoDecides(entry)} Asked <Ago at={entry.created_at_ms} />
        {entry.approval_recipient !== undefined && `; ${entry.approval_recipient} was told on ${entry.approval_channel ?? "a channel"}`}.
      </p>
      <Field label="Reason" name="reason" optional value={reason.value} placeholder="for the record, and for who asks" onInput={(value) => (reason.value = value)} />
      {order.error && <ErrorText what="Not decided" error={order.error} />}
      <div class="buttons start">
        <Act why={why("approve")} busy={order.busy} kind="primary" testId="approve" onClick={() => decide("approve")}>
          Approve
        </Act>
        <Act why={why("reject")} busy={order.busy} kind="danger" testId="reject" onClick={() => decide("reject")}>
          Reject
        </Act>
        <Act why={why("escalate")} busy={order.busy} testId="escalate" onClick={() => decide("escalate")}>
          Pass on
        </Act>
        {hindered !== undefined && (
          <span class="hindered quiet" data-testid="why-not">
            {hindered}
          </span>
        )}
      </div>
    </article>
  );
}

const EVENTS: Readonly<Record<string, string>> = {
  evaluated: "allowed",
  pending_created: "asked for approval",
  conflict_blocked: "held back: memory contradicts itself",
  memory_conflict_lookup_failed: "held back: memory could not be asked",
  approved: "approved",
  rejected: "rejected",
  escalated: "passed on",
  timeout_fallback: "nobody decided in time",
  pending_evicted: "dropped: too many waited",
  withdrawn: "withdrawn",
  notified: "somebody was told",
};

const OUTCOMES: Readonly<Record<GatingOutcome, string>> = { allowed: "allowed", allowed_with_audit: "allowed, and written down", pending_approval: "waits", safe_draft: "a draft only" };

/** How many lines of the record are shown. */
const LINES = 50;

function Audit({ app }: { app: App }) {
  const live = useLive<{ entries: GatingAuditEntry[] }>(app, "mobkit/gating/audit", { limit: LINES });
  const entries = live.data?.entries.toReversed() ?? [];
  return (
    <section class="card" aria-labelledby="audit-title">
      <h3 id="audit-title">Record</h3>
      <Reading live={live} what="the record" />
      {live.data && entries.length === 0 && <p data-testid="audit-empty">Nothing was decided yet. Whatever is asked, allowed or refused is written down here.</p>}
      {entries.length > 0 && (
        <ol class="lines" data-testid="audit">
          {entries.map((entry) => (
            <li key={entry.audit_id} data-event={entry.event_type}>
              <Time at={entry.timestamp_ms} />
              <span>
                <b>{EVENTS[entry.event_type] ?? entry.event_type}</b>
                {particulars(entry)}
                <span class="quiet">
                  {" "}
                  <code>{entry.detail.action}</code> of {app.person(entry.actor_id).name}, {entry.risk_tier}: {OUTCOMES[entry.outcome] ?? entry.outcome}
                </span>
              </span>
            </li>
          ))}
        </ol>
      )}
      {entries.length === LINES && <p class="quiet">The newest {count(LINES)}.</p>}
    </section>
  );
}

/** Who decided, and why. */
function particulars(entry: GatingAuditEntry): string {
  const detail = (entry.detail ?? {}) as Record<string, unknown>;
  const text = (name: string): string => (typeof detail[name] === "string" ? (detail[name] as string) : "");
  const by = text("approver_id") === "" ? "" : ` by ${text("approver_id")}`;
  const reason = text("reason") || text("rationale");
  return `${by}${reason === "" ? "" : `: ${reason.replaceAll("_", " ")}`}`;
}
