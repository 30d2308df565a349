// Where something for somebody goes: the routes, the answer to that question, and what became of the deliveries.

import { useSignal } from "@preact/signals";
import type { DeliveryRecord, DeliveryStatus, RoutingResolution, RuntimeRoute } from "mobkit-web";
import type { App } from "../app.ts";
import { faultOf, paramsOf, payloadOf } from "../store/modules.ts";
import { Icon, Time } from "./common.tsx";
import { ErrorText } from "./error.tsx";
import { Act, Field, heldBack, Reading, useLive, useOrder, Value } from "./panel.tsx";

const SINKS = ["mob_member", "module", "webhook", "email", "sms"];
const NUMBERS = ["retry_max", "backoff_ms", "rate_limit_per_minute"];

/** How many deliveries are shown. */
const SHOWN = 50;

export function RoutingPanel({ app }: { app: App }) {
  const routes = useLive<{ routes: RuntimeRoute[] }>(app, "mobkit/routing/routes/list");
  return (
    <>
      <h2>Routing and deliveries</h2>
      <p class="lede">A delivery has a recipient and a channel. The module router says where it goes, and routes have the last word. The module delivery carries it out.</p>
      <section class="card" aria-labelledby="routes-title">
        <h3 id="routes-title">Routes</h3>
        <Reading live={routes} what="the routes" />
        {routes.data?.routes.length === 0 && <p data-testid="routes-empty">There are no routes: everything goes where the router says. Add one to send something elsewhere.</p>}
        {routes.data && routes.data.routes.length > 0 && (
          <ul class="rows" data-testid="routes">
            {routes.data.routes.map((route) => (
              <Route key={route.route_key} app={app} route={route} onDone={() => void routes.read()} />
            ))}
          </ul>
        )}
        <NewRoute app={app} onDone={() => void routes.read()} />
      </section>
      <Resolve app={app} />
      <History app={app} />
    </>
  );
}

function Route({ app, route, onDone }: { app: App; route: RuntimeRoute; onDone: () => void }) {
  const order = useOrder();
  const numbers = [
    route.retry_max !== undefined && `${route.retry_max} ${route.retry_max === 1 ? "retry" : "retries"}`,
    route.backoff_ms !== undefined && `${route.backoff_ms} ms between`,
    route.rate_limit_per_minute !== undefined && `${route.rate_limit_per_minute} a minute`,
  ].filter(Boolean);
  return (
    <li data-route={route.route_key}>
      <div class="row-text">
        <p>
          <b>{route.route_key}</b>
        </p>
        <p>
          <code>{route.recipient}</code> on {route.channel === undefined || route.channel === "*" ? "any channel" : <code>{route.channel}</code>} goes to <code>{route.sink}</code> by module <code>{route.target_module}</code>
          {numbers.length > 0 && <span class="quiet"> · {numbers.join(", ")}</span>}
        </p>
        {order.error && <ErrorText what="Not deleted" error={order.error} />}
      </div>
      <Act
        why={heldBack(app)}
        busy={order.busy}
        kind="icon-button"
        label={`Delete route ${route.route_key}`}
        onClick={() => void order.run(() => app.call("mobkit/routing/routes/delete", { route_key: route.route_key })).then(onDone)}
      >
        <Icon name="close" />
      </Act>
    </li>
  );
}

const NEW_ROUTE = { route_key: "", recipient: "", channel: "", sink: "", target_module: "delivery", retry_max: "", backoff_ms: "", rate_limit_per_minute: "" };

function NewRoute({ app, onDone }: { app: App; onDone: () => void }) {
  const form = useSignal(NEW_ROUTE);
  const order = useOrder();
  const fault = faultOf(order.error, Object.keys(NEW_ROUTE));
  const field = (name: keyof typeof NEW_ROUTE) => ({ name, value: form.value[name], fault, onInput: (value: string) => void (form.value = { ...form.value, [name]: value }) });
  const members = [...app.members.value.keys()];
  return (
    <details class="adder">
      <summary data-testid="route-new">Add a route</summary>
      <form
        class="form"
        noValidate
        aria-label="Add a route"
        data-testid="route-form"
        onSubmit={(event) => {
          event.preventDefault();
          void order.run(() => app.call("mobkit/routing/routes/add", paramsOf(form.value, ["channel", ...NUMBERS], NUMBERS))).then((done) => {
            if (!done) return;
            form.value = NEW_ROUTE;
            onDone();
          });
        }}
      >
        <div class="field-grid">
          <Field label="Name" {...field("route_key")} hint="A route of this name is replaced." />
          <Field label="Recipient" {...field("recipient")} among={["*", ...members]} hint="* for anybody." />
          <Field label="Channel" {...field("channel")} optional placeholder="any" />
          <Field label="Sink" {...field("sink")} among={SINKS} hint="mob_member, module, webhook, or whatever the delivery module knows." />
          <Field label="Module" {...field("target_module")} hint="Deliveries are made by delivery alone." />
        </div>
        <div class="field-grid">
          <Field label="Retries" {...field("retry_max")} optional numeric placeholder="1" />
          <Field label="Pause between, ms" {...field("backoff_ms")} optional numeric placeholder="250" />
          <Field label="At most a minute" {...field("rate_limit_per_minute")} optional numeric placeholder="2" />
        </div>
        {order.error && !fault && <ErrorText what="Not added" error={order.error} />}
        <div class="buttons start">
          <Act why={heldBack(app)} busy={order.busy} kind="primary" testId="route-add">
            Add the route
          </Act>
        </div>
      </form>
    </details>
  );
}

/** Where something would go, and sending it there. */
function Resolve({ app }: { app: App }) {
  const form = useSignal({ recipient: "", channel: "" });
  const payload = useSignal("");
  const resolution = useSignal<RoutingResolution | undefined>(undefined);
  const sent = useSignal<DeliveryRecord | undefined>(undefined);
  const order = useOrder();
  const sending = useOrder();
  const fault = faultOf(order.error, ["recipient", "channel"]);
  const change = (part: Partial<typeof form.value>): void => {
    form.value = { ...form.value, ...part };
    resolution.value = undefined;
    sent.value = undefined;
  };
  const found = resolution.value;
  const send = (): Promise<boolean> =>
    sending.run(async () => {
      sent.value = undefined;
      sent.value = await app.call<DeliveryRecord>("mobkit/delivery/send", { resolution: found, payload: payloadOf(payload.value), idempotency_key: crypto.randomUUID() });
    });
  return (
    <section class="card" aria-labelledby="resolve-title">
      <h3 id="resolve-title">Where would this go?</h3>
      <form
        class="form"
        noValidate
        data-testid="resolve-form"
        onSubmit={(event) => {
          event.preventDefault();
          sending.clear();
          void order.run(async () => {
            resolution.value = undefined;
            resolution.value = await app.call<RoutingResolution>("mobkit/routing/resolve", paramsOf(form.value, ["channel"]));
          });
        }}
      >
        <div class="field-grid with-button">
          <Field label="Recipient" name="recipient" value={form.value.recipient} fault={fault} among={[...app.members.value.keys()]} onInput={(recipient) => change({ recipient })} />
          <Field label="Channel" name="channel" value={form.value.channel} fault={fault} optional placeholder="notification" onInput={(channel) => change({ channel })} />
          <Act why={heldBack(app)} busy={order.busy} testId="resolve">
            Ask
          </Act>
        </div>
        {order.error && !fault && <ErrorText error={order.error} />}
      </form>
      <div role="status" class="outcome">
        {found && (
          <p data-testid="resolution">
            It goes to <code>{found.sink}</code> for <code>{found.recipient}</code> on <code>{found.channel}</code>, by module <code>{found.target_module}</code>; {found.retry_max} {found.retry_max === 1 ? "retry" : "retries"} after {found.backoff_ms} ms, {found.rate_limit_per_minute} a minute at most.
          </p>
        )}
      </div>
      {found && (
        <form
          class="form"
          noValidate
          data-testid="send-form"
          onSubmit={(event) => {
            event.preventDefault();
            void send();
          }}
        >
          <Field label="Deliver this there" name="payload" rows={2} value={payload.value} hint="A text, or JSON in { } or [ ]." onInput={(value) => (payload.value = value)} />
          {sending.error && <ErrorText what="Not delivered" error={sending.error} />}
          {sent.value && (
            <p role="status" class={sent.value.status === "sent" ? "ok-text" : "bad-text"}>
              {sent.value.delivery_id}: {STATUS[sent.value.status]}
            </p>
          )}
          <div class="buttons start">
            <Act why={heldBack(app) ?? (payload.value.trim() === "" ? "There is nothing to deliver." : undefined)} busy={sending.busy} testId="send">
              {sending.busy ? "Delivering…" : "Deliver"}
            </Act>
          </div>
        </form>
      )}
    </section>
  );
}

const STATUS: Readonly<Record<DeliveryStatus, string>> = { sending: "under way", transient_failure: "failed, is tried again", sent: "delivered", failed: "failed" };

function History({ app }: { app: App }) {
  const recipient = useSignal("");
  const sink = useSignal("");
  const live = useLive<{ deliveries: DeliveryRecord[] }>(app, "mobkit/delivery/history", { limit: SHOWN, ...paramsOf({ recipient: recipient.value, sink: sink.value }, ["recipient", "sink"]) });
  const filtered = recipient.value.trim() !== "" || sink.value.trim() !== "";
  const deliveries = live.data?.deliveries.toReversed() ?? [];
  return (
    <section class="card" aria-labelledby="deliveries-title">
      <h3 id="deliveries-title">Deliveries</h3>
      <div class="field-grid" role="group" aria-label="Filters">
        <Field label="Recipient" name="by-recipient" value={recipient.value} placeholder="anybody" among={[...new Set(deliveries.map((delivery) => delivery.recipient))]} onInput={(value) => (recipient.value = value)} />
        <Field label="Sink" name="by-sink" value={sink.value} placeholder="any" among={[...new Set([...SINKS, ...deliveries.map((delivery) => delivery.sink)])]} onInput={(value) => (sink.value = value)} />
      </div>
      <Reading live={live} what="the deliveries" />
      {live.data && deliveries.length === 0 && (
        <p data-testid="deliveries-empty">{filtered ? "No delivery matches. Recipient and sink are compared as they are written." : "Nothing was delivered yet. Ask above where something would go and deliver it, or let a schedule do so."}</p>
      )}
      {deliveries.length > 0 && (
        <ul class="folds" data-testid="deliveries">
          {deliveries.map((delivery) => (
            <Delivery key={delivery.delivery_id} delivery={delivery} />
          ))}
        </ul>
      )}
      {deliveries.length === SHOWN && <p class="quiet">The newest {SHOWN}.</p>}
    </section>
  );
}

function Delivery({ delivery }: { delivery: DeliveryRecord }) {
  const { attempts } = delivery;
  return (
    <li>
      <details class={`fold${delivery.status === "failed" ? " bad" : ""}`} data-delivery={delivery.delivery_id} data-status={delivery.status}>
        <summary>
          <span class={`mark-${delivery.status}`}>{STATUS[delivery.status] ?? delivery.status}</span>
          <span class="tool-name clip">{delivery.recipient}</span>
          <span class="fold-line">{delivery.error ?? (typeof delivery.payload === "string" ? delivery.payload : JSON.stringify(delivery.payload))}</span>
          <span class="tool-status">
            <Time at={delivery.final_attempt_ms} />
          </span>
        </summary>
        <div class="fold-body">
          <dl class="facts">
            <dt>Delivery</dt>
            <dd>
              <code>{delivery.delivery_id}</code> by <code>{delivery.route_id}</code>
            </dd>
            <dt>Sink</dt>
            <dd>
              <code>{delivery.sink}</code>
              {delivery.sink_adapter !== undefined && (
                <>
                  , carried out by <code>{delivery.sink_adapter}</code>
                </>
              )}
            </dd>
            <dt>Attempts</dt>
            <dd>{attempts.length === 0 ? "none" : attempts.map(({ attempt, status, backoff_ms }) => `${attempt}: ${STATUS[status] ?? status}${backoff_ms > 0 ? `, then ${backoff_ms} ms of pause` : ""}`).join("; ")}</dd>
            {delivery.error !== undefined && (
              <>
                <dt>Error</dt>
                <dd class="bad-text">{delivery.error}</dd>
              </>
            )}
          </dl>
          <Value value={delivery.payload} label={`Payload of ${delivery.delivery_id}`} />
        </div>
      </details>
    </li>
  );
}
