// The schedules that the runtime holds: when they are due, what they do, and how that went.

import { useSignal } from "@preact/signals";
import type { HeldSchedule, ModuleStatus, ScheduleView } from "mobkit-web";
import type { App } from "../app.ts";
import { ConsoleError } from "../client.ts";
import { describeAction, faultOf, paramsOf, payloadOf } from "../store/modules.ts";
import { count } from "./common.tsx";
import { ErrorText } from "./error.tsx";
import { Confirm } from "./member-actions.tsx";
import { Act, Ago, Field, heldBack, Long, Reading, useLive, useOrder } from "./panel.tsx";

export function SchedulesPanel({ app }: { app: App }) {
  const live = useLive<{ limit: number; schedules: ScheduleView[] }>(app, "mobkit/scheduling/list");
  return (
    <>
      <h2>Schedules</h2>
      <p class="lede">What the mob does by the clock: it tells a member something, delivers something, or calls a tool. What was missed while nobody was there is made up for once.</p>
      <Reading live={live} what="the schedules" />
      {live.data?.schedules.length === 0 && (
        <p class="card quiet" data-testid="schedules-empty">
          There are no schedules. Add one below, such as a question to a member every morning.
        </p>
      )}
      {live.data?.schedules.map((view) => (
        <Schedule key={view.schedule.schedule_id} app={app} view={view} onDone={() => void live.read()} />
      ))}
      <NewSchedule app={app} known={live.data?.schedules.map((view) => view.schedule.schedule_id) ?? []} onDone={() => void live.read()} />
    </>
  );
}

const FORMAT = { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" } as const;
const moment = new Intl.DateTimeFormat(undefined, FORMAT);
const exactMoment = new Intl.DateTimeFormat(undefined, { ...FORMAT, second: "2-digit" });

function Moment({ at }: { at: number }) {
  const date = new Date(at);
  return (
    <time dateTime={date.toISOString()} title={date.toLocaleString()}>
      {(at % 60_000 < 1000 ? moment : exactMoment).format(date)}
    </time>
  );
}

function Schedule({ app, view, onDone }: { app: App; view: ScheduleView; onDone: () => void }) {
  const { schedule, action, next_ms, last_due_ms, fired, error } = view;
  const order = useOrder();
  const asking = useSignal(false);
  const id = schedule.schedule_id;
  const why = heldBack(app);
  const set = (enabled: boolean): void => {
    const held: HeldSchedule = { schedule: { ...schedule, enabled }, action };
    void order.run(() => app.call("mobkit/scheduling/set", held)).then(onDone);
  };
  return (
    <article class="card item" data-testid="schedule" data-schedule={id} data-enabled={schedule.enabled} aria-label={`Schedule ${id}`}>
      <header class="item-head">
        <h3>{id}</h3>
        <span class="quiet">
          <code>{schedule.interval}</code> {schedule.timezone}
        </span>
        <span class="item-acts">
          <button type="button" role="switch" class="switch" aria-checked={schedule.enabled} aria-label={`Schedule ${id} is enabled`} title={why} disabled={order.busy || why !== undefined} onClick={() => set(!schedule.enabled)} />
          <Act why={why} busy={order.busy} kind="danger" label={`Delete schedule ${id}`} onClick={() => (asking.value = true)}>
            Delete…
          </Act>
        </span>
      </header>
      <Long text={describeAction(action)} label={`What ${id} does`} />
      <dl class="facts">
        <dt>Next</dt>
        <dd>
          {next_ms.length === 0 ? (
            <span class="quiet">{schedule.enabled ? "never" : "not while it is off"}</span>
          ) : (
            <ul class="times">
              {next_ms.map((at, n) => (
                <li key={at}>
                  <Moment at={at} />
                  {n === 0 && (
                    <>
                      {", "}
                      <Ago at={at} />
                    </>
                  )}
                </li>
              ))}
            </ul>
          )}
        </dd>
        <dt>Last</dt>
        <dd>
          {last_due_ms === undefined ? (
            <span class="quiet">not yet</span>
          ) : (
            <>
              <Moment at={last_due_ms} />, <Ago at={last_due_ms} />
            </>
          )}
          {fired > 0 && <span class="quiet"> · done {fired === 1 ? "once" : `${count(fired)} times`}</span>}
        </dd>
        {error !== undefined && (
          <>
            <dt>Error</dt>
            <dd class="bad-text">{error}</dd>
          </>
        )}
      </dl>
      {order.error && <ErrorText what="Not changed" error={order.error} />}
      {asking.value && (
        <Confirm
          title={`Delete schedule ${id}?`}
          text="It is not due any more. What it has done stays done."
          action="Delete"
          danger
          onClose={() => (asking.value = false)}
          onConfirm={() => void order.run(() => app.call("mobkit/scheduling/delete", { schedule_id: id })).then(onDone)}
        />
      )}
    </article>
  );
}

const NEW = { schedule_id: "", interval: "", timezone: "UTC", kind: "message", member_id: "", message: "", recipient: "", channel: "", payload: "", module_id: "", tool: "", arguments: "" };
type Form = typeof NEW;

/** What the form says, as the method takes it. */
function scheduleOf(form: Form): HeldSchedule {
  const schedule = paramsOf({ schedule_id: form.schedule_id, interval: form.interval, timezone: form.timezone }) as unknown as HeldSchedule["schedule"];
  const json = (name: "payload" | "arguments", parse: (text: string) => unknown): never => {
    try {
      return parse(form[name]) as never;
    } catch (error) {
      throw new ConsoleError("invalid_params", `${name} is no JSON: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  const need = (...names: (keyof Form)[]): void => {
    const missing = names.find((name) => form[name].trim() === "");
    if (missing !== undefined) throw new ConsoleError("invalid_params", `${missing} must not be empty`);
  };
  if (form.kind === "message") {
    need("member_id", "message");
    return { schedule, action: { kind: "message", member_id: form.member_id, message: form.message } };
  }
  if (form.kind === "delivery") {
    need("recipient", "payload");
    const { recipient, channel } = paramsOf({ recipient: form.recipient, channel: form.channel }, ["channel"]) as { recipient: string; channel?: string };
    return { schedule, action: { kind: "delivery", recipient, ...(channel === undefined ? {} : { channel }), payload: json("payload", payloadOf) } };
  }
  need("module_id", "tool");
  return { schedule, action: { kind: "tool", module_id: form.module_id.trim(), tool: form.tool.trim(), arguments: form.arguments.trim() === "" ? {} : json("arguments", JSON.parse) } };
}

function NewSchedule({ app, known, onDone }: { app: App; known: readonly string[]; onDone: () => void }) {
  const form = useSignal<Form>(NEW);
  const order = useOrder();
  const modules = useLive<{ modules: ModuleStatus[] }>(app, "mobkit/modules/list").data?.modules ?? [];
  const fault = faultOf(order.error, Object.keys(NEW));
  const members = app.rows.value.map((row) => [row.identity, row.displayName] as const);
  const field = (name: keyof Form) => ({ name, value: form.value[name], fault, onInput: (value: string) => void (form.value = { ...form.value, [name]: value }) });
  const { kind } = form.value;
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return (
    <section class="card" aria-labelledby="schedule-new-title">
      <h3 id="schedule-new-title">Add a schedule</h3>
      <form
        class="form"
        noValidate
        aria-labelledby="schedule-new-title"
        data-testid="schedule-form"
        onSubmit={(event) => {
          event.preventDefault();
          void order.run(() => app.call("mobkit/scheduling/set", scheduleOf(form.value))).then((done) => {
            if (!done) return;
            form.value = { ...NEW, kind };
            onDone();
          });
        }}
      >
        <div class="field-grid">
          <Field label="Name" {...field("schedule_id")} hint={known.includes(form.value.schedule_id.trim()) ? "This replaces the one that is there." : "A schedule of this name is replaced."} />
          <Field label="When" {...field("interval")} among={["*/15m", "*/1h", "*/1d", "0 9 * * 1-5"]} hint="*/15m, or cron: 0 9 * * 1-5" />
          <Field label="Time zone" {...field("timezone")} among={[...new Set(["UTC", here, "+01:00"])]} hint={here === "UTC" ? "UTC, +02:00 or a name." : `UTC, +02:00 or a name; yours is ${here}.`} />
        </div>
        <Field
          label="What it does"
          {...field("kind")}
          options={[
            ["message", "tells a member something"],
            ["delivery", "delivers something"],
            ["tool", "calls a module's tool"],
          ]}
        />
        {kind === "message" ? (
          <>
            <Field label="Member" {...field("member_id")} options={[["", "choose…"], ...members]} />
            <Field label="Message" {...field("message")} rows={2} />
          </>
        ) : kind === "delivery" ? (
          <>
            <div class="field-grid">
              <Field label="Recipient" {...field("recipient")} among={[...app.members.value.keys()]} />
              <Field label="Channel" {...field("channel")} optional placeholder="notification" />
            </div>
            <Field label="What" {...field("payload")} rows={2} hint="A text, or JSON in { } or [ ]." />
          </>
        ) : (
          <>
            <div class="field-grid">
              <Field label="Module" {...field("module_id")} among={modules.map((module) => module.module_id)} />
              <Field label="Tool" {...field("tool")} among={modules.find((module) => module.module_id === form.value.module_id)?.tools ?? []} />
            </div>
            <Field label="Arguments" {...field("arguments")} rows={2} optional placeholder="{}" hint="JSON." />
          </>
        )}
        {order.error && !fault && <ErrorText what="Not added" error={order.error} />}
        <div class="buttons start">
          <Act why={heldBack(app)} busy={order.busy} kind="primary" testId="schedule-add">
            Add the schedule
          </Act>
        </div>
      </form>
    </section>
  );
}
