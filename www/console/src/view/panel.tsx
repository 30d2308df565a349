// What the panels of the modules are made of: readings that stay fresh, orders that say what they failed with, fields, times.

import { effect, signal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import type { App } from "../app.ts";
import { type ConsoleError, toConsoleError } from "../client.ts";
import { type Fault, relative, span } from "../store/modules.ts";
import { ErrorText } from "./error.tsx";

/** How often what leaves no event is asked for. */
const EVERY_MS = 3000;

export interface Live<T> {
  data: T | undefined;
  error: ConsoleError | undefined;
  read(): Promise<void>;
}

/** An answer that is asked for anew when a module tells something, when somebody comes back to the page, and every few seconds. */
export function useLive<T>(app: App, method: string, params: object = {}): Live<T> {
  const data = useSignal<T | undefined>(undefined);
  const error = useSignal<ConsoleError | undefined>(undefined);
  const text = useRef("");
  const look = useRef<() => Promise<void>>(async () => undefined);
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let reading: Promise<void> | undefined;
    let again = false;
    const ask = async (): Promise<void> => {
      do {
        again = false;
        try {
          const answer = await app.call<T>(method, params, abort.signal);
          if (abort.signal.aborted) return;
          const said = JSON.stringify(answer);
          if (said !== text.current || data.peek() === undefined) data.value = answer;
          text.current = said;
          error.value = undefined;
        } catch (caught) {
          if (abort.signal.aborted) return;
          error.value = toConsoleError(caught);
        }
      } while (again);
    };
    const next = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => (document.hidden ? next() : void look.current()), EVERY_MS);
    };
    look.current = async () => {
      again = true;
      reading ??= ask().finally(() => {
        reading = undefined;
        if (!abort.signal.aborted) next();
      });
      await reading;
    };
    const seen = (): void => {
      if (!document.hidden) void look.current();
    };
    document.addEventListener("visibilitychange", seen);
    const stop = effect(() => {
      app.modulesVersion.value;
      app.client.value.state;
      void look.current();
    });
    return () => {
      stop();
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [method, JSON.stringify(params)]);
  return { data: data.value, error: error.value, read: () => look.current() };
}

/** What is shown while nothing has been read, and what a reading failed with. */
export function Reading({ live, what }: { live: Live<unknown>; what: string }) {
  if (live.error) return <ErrorText what={`Reading ${what}`} error={live.error} />;
  return live.data === undefined ? <p class="quiet">Reading {what}…</p> : null;
}

export interface Order {
  busy: boolean;
  error: ConsoleError | undefined;
  /** Runs it; whether it was done. */
  run(action: () => Promise<unknown>): Promise<boolean>;
  clear(): void;
}

/** Orders of which one runs at a time, with what the last failed with. */
export function useOrder(): Order {
  const busy = useSignal(false);
  const error = useSignal<ConsoleError | undefined>(undefined);
  return {
    busy: busy.value,
    error: error.value,
    clear: () => void (error.value = undefined),
    run: async (action) => {
      busy.value = true;
      error.value = undefined;
      try {
        await action();
      } catch (caught) {
        error.value = toConsoleError(caught);
      }
      busy.value = false;
      return error.value === undefined;
    },
  };
}

/** Why nothing can be changed from here; undefined if it can. */
export function heldBack(app: App): string | undefined {
  if (!app.readOnly.value) return undefined;
  return app.client.value.state === "follower" ? "This tab only follows the mob. Take over to change anything from here." : "The mob cannot be reached at the moment.";
}

/** A button that gives an order. Without a reason against it, it can be pressed. */
export function Act({ why, busy = false, kind = "", testId, label, onClick, children }: { why?: string | undefined; busy?: boolean; kind?: string; testId?: string; label?: string; onClick?: () => void; children: ComponentChildren }) {
  return (
    <button type={onClick ? "button" : "submit"} class={kind} disabled={busy || why !== undefined} title={why} aria-label={label} data-testid={testId} onClick={onClick}>
      {children}
    </button>
  );
}

/** The reason in words, for a button's title is not everybody's to read. */
export function ReadOnly({ app }: { app: App }) {
  const why = heldBack(app);
  return why === undefined ? null : (
    <p class="callout" role="note" data-testid="read-only">
      {why}
    </p>
  );
}

export interface FieldProps {
  label: string;
  name: string;
  value: string;
  onInput: (value: string) => void;
  fault?: Fault | undefined;
  hint?: string;
  placeholder?: string;
  optional?: boolean;
  /** Suggestions. */
  among?: readonly string[];
  /** The only values, with their words. */
  options?: readonly (readonly [string, string])[];
  rows?: number;
  numeric?: boolean;
}

/** A field with its label, and what is wrong with it below. */
export function Field({ label, name, value, onInput, fault, hint, placeholder, optional = false, among, options, rows, numeric = false }: FieldProps) {
  const id = useId();
  const words = fault?.field === name ? fault.words : undefined;
  const common = {
    name,
    value,
    placeholder,
    "aria-invalid": words !== undefined,
    "aria-describedby": [words === undefined ? "" : `${id}-fault`, hint === undefined ? "" : `${id}-hint`].filter(Boolean).join(" ") || undefined,
  };
  return (
    <div class="field">
      <label>
        <span>
          {label} {optional && <span class="quiet">optional</span>}
        </span>
        {options ? (
          <select {...common} onChange={(event) => onInput(event.currentTarget.value)}>
            {options.map(([option, text]) => (
              <option key={option} value={option}>
                {text}
              </option>
            ))}
          </select>
        ) : rows !== undefined ? (
          <textarea {...common} rows={rows} spellcheck={false} onInput={(event) => onInput(event.currentTarget.value)} />
        ) : (
          <input {...common} autocomplete="off" spellcheck={false} inputMode={numeric ? "numeric" : undefined} list={among && `${id}-list`} onInput={(event) => onInput(event.currentTarget.value)} />
        )}
      </label>
      {among && (
        <datalist id={`${id}-list`}>
          {among.map((option) => (
            <option key={option} value={option} />
          ))}
        </datalist>
      )}
      {hint !== undefined && <small id={`${id}-hint`}>{hint}</small>}
      {words !== undefined && (
        <small class="field-fault" id={`${id}-fault`} role="alert">
          {words}
        </small>
      )}
    </div>
  );
}

const second = signal(Date.now());
let watched = 0;
let ticking: ReturnType<typeof setInterval> | undefined;

/** This second, for as long as somebody looks at it. */
function useNow(): number {
  useEffect(() => {
    if (watched++ === 0) ticking = setInterval(() => (second.value = Date.now()), 1000);
    second.value = Date.now();
    return () => {
      if (--watched === 0) clearInterval(ticking);
    };
  }, []);
  return second.value;
}

/** A moment as seen from now. */
export function Ago({ at }: { at: number }) {
  return <span class="ago">{relative(at, useNow())}</span>;
}

/** How long there is time. */
export function Countdown({ until, onEnd }: { until: number; onEnd: () => void }) {
  const left = until - useNow();
  const over = left <= 0;
  useEffect(() => {
    if (over) onEnd();
  }, [over]);
  return (
    <span class={`ago${left < 30_000 ? " urgent" : ""}`} role="timer" data-testid="countdown">
      {over ? "time is over" : `${span(left)} left`}
    </span>
  );
}

/** From this length on a text has a field of its own, which scrolls. */
const LONG = 500;

/** A text of any length. */
export function Long({ text, label }: { text: string; label: string }) {
  return text.length < LONG ? (
    <p class="long">{text}</p>
  ) : (
    <div class="long longest" tabIndex={0} role="region" aria-label={label}>
      {text}
    </div>
  );
}

/** Any value, as long as it may be. */
export function Value({ value, label }: { value: unknown; label: string }) {
  return (
    <pre class="value" tabIndex={0} role="region" aria-label={label}>
      {typeof value === "string" ? value : JSON.stringify(value, null, 2)}
    </pre>
  );
}
