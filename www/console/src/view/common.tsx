// Small pieces that every panel uses: avatars, states, icons, numbers, dialogs, menus.

import type { ComponentChildren, RefObject } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";

/** One of twelve colours for a name, always the same; the colours are classes, for the policy forbids inline style. */
export function hueOf(name: string): string {
  let hash = 2166136261;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 16777619);
  return `hue-${(hash >>> 0) % 12}`;
}

/** Two letters that stand for a name: `rev-2` is R2, `researcher` is Re. */
export function initials(name: string): string {
  const parts = name.split(/[-_.\s]+/).filter(Boolean);
  const first = parts[0] ?? "?";
  const last = parts.length > 1 ? (parts[parts.length - 1] ?? "") : "";
  return last ? (first[0] ?? "").toUpperCase() + (last[0] ?? "") : first.slice(0, 1).toUpperCase() + first.slice(1, 2);
}

export function Avatar({ name, role, state, size = "md" }: { name: string; role: string; state?: string; size?: "sm" | "md" }) {
  return (
    <span class={`avatar avatar-${size} ${hueOf(role || name)}`} aria-hidden="true">
      {initials(name)}
      {state !== undefined && <span class={`dot state-${state}`} />}
    </span>
  );
}

/** What a state is called. */
export const STATE_WORDS: Record<string, string> = {
  running: "working",
  idle: "idle",
  dormant: "asleep",
  waiting_model: "waits for its model",
  waiting_approval: "waits for approval",
  broken: "broken",
  retiring: "retiring",
};

export function StateBadge({ state }: { state: string }) {
  return (
    <span class={`badge state-${state}`}>
      <span class={`dot state-${state}`} aria-hidden="true" />
      {STATE_WORDS[state] ?? state}
    </span>
  );
}

const PATHS: Record<string, string> = {
  send: "M3 11.5 20 4l-5.5 16-3-6.5z M11.5 13.5 20 4",
  stop: "M7 7h10v10H7z",
  plus: "M12 5v14 M5 12h14",
  more: "M6 12h.01 M12 12h.01 M18 12h.01",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8z M12 2v2 M12 20v2 M4 12H2 M22 12h-2 M5 5l1.5 1.5 M17.5 17.5 19 19 M5 19l1.5-1.5 M17.5 6.5 19 5",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  auto: "M12 3a9 9 0 1 0 0 18z M12 3a9 9 0 0 1 0 18",
  close: "M6 6l12 12 M18 6 6 18",
  tool: "M14.5 6.5a4 4 0 0 0 5 5l-8.5 8.5a2 2 0 0 1-3-3z M14.5 6.5 17 4a4 4 0 0 1 3 3l-2.5 2.5",
  arrow: "M5 12h14 M13 6l6 6-6 6",
  down: "M12 5v14 M6 13l6 6 6-6",
  thought: "M9 18h6 M10 21h4 M8.5 15a6 6 0 1 1 7 0c-.6.5-.9 1.2-.9 2H9.4c0-.8-.3-1.5-.9-2z",
  pause: "M9 6v12 M15 6v12",
  play: "M8 5.5v13l10.5-6.5z",
  members: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7z M2.5 20c0-3.5 2.9-6 6.5-6s6.5 2.5 6.5 6 M16 4.5a3.5 3.5 0 0 1 0 6.5 M18 14.5c2.2.8 3.5 2.9 3.5 5.5",
  chat: "M4 5h16v11H9l-5 4z",
  activity: "M3 12h4l3-8 4 16 3-8h4",
  ledger: "M5 4h14v16H5z M8.5 8.5h7 M8.5 12h7 M8.5 15.5h4",
  timeline: "M6 4v16 M6 7h.01 M6 12h.01 M6 17h.01 M10 7h10 M10 12h7 M10 17h9",
  events: "M8.5 6H20 M8.5 12H20 M8.5 18H20 M4 6h.01 M4 12h.01 M4 18h.01",
  mob: "M6 4.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z M18 4.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z M12 14.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z M8.5 7h7 M7.3 9.2l3.4 5.6 M16.7 9.2l-3.4 5.6",
  storage: "M4 6c0-1.7 3.6-3 8-3s8 1.3 8 3-3.6 3-8 3-8-1.3-8-3z M4 6v12c0 1.7 3.6 3 8 3s8-1.3 8-3V6 M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3",
  model: "M12 3l2.2 5.8L20 11l-5.8 2.2L12 19l-2.2-5.8L4 11l5.8-2.2z",
  definition: "M9 4 4 12l5 8 M15 4l5 8-5 8",
  modules: "M4 4h6.5v6.5H4z M13.5 4H20v6.5h-6.5z M4 13.5h6.5V20H4z M16.8 13.5v6.5 M13.5 16.8h6.5",
  approvals: "M12 3l7.5 3v5.5c0 4.6-3.1 8-7.5 9.5-4.4-1.5-7.5-4.9-7.5-9.5V6z M8.7 11.8l2.4 2.4 4.4-4.4",
  remote: "M7 18.5a4.5 4.5 0 0 1-.6-9 6 6 0 0 1 11.5 1.3A3.9 3.9 0 0 1 17.5 18.5z",
  check: "M5 12.5l4.5 4.5L19 7",
  warn: "M12 4 2.8 20h18.4z M12 10v4 M12 17h.01",
};

export function Icon({ name }: { name: keyof typeof PATHS | string }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name] ?? ""} />
    </svg>
  );
}

/** 1 234 567 with thin spaces. */
export function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

/** Bytes in the unit that a person reads. */
export function bytes(value: number): string {
  if (value < 1000) return `${value} B`;
  const units = ["kB", "MB", "GB"];
  let size = value / 1000;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${size < 10 ? size.toFixed(1) : Math.round(size)} ${units[unit] ?? ""}`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const exactClock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

/** A moment: the time of today's, the day too where there is room for it, and all of it on hovering. */
export function Time({ at, exact = false }: { at: number; exact?: boolean }) {
  const date = new Date(at);
  const today = new Date().toDateString() === date.toDateString();
  const time = (exact ? exactClock : clock).format(date);
  return (
    <time dateTime={date.toISOString()} title={date.toLocaleString()}>
      {today ? time : exact ? `${day.format(date)} ${time}` : day.format(date)}
    </time>
  );
}

/** A modal dialog over the native element: it traps focus, closes on Escape and gives focus back. Without `onClose` it stays until it is taken away. */
export function Dialog({ title, onClose, children }: { title: string; onClose?: () => void; children: ComponentChildren }) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useLayoutEffect(() => {
    const dialog = ref.current;
    const before = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      class="dialog"
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose?.();
      }}
      onClose={() => {
        // Browsers let a second Escape close what the first one did not.
        if (!onClose && ref.current?.isConnected && !ref.current.open) ref.current.showModal();
      }}
      onClick={(event) => {
        if (event.target === ref.current) onClose?.();
      }}
    >
      <div class="dialog-body">
        <header>
          <h2 id={id}>{title}</h2>
          {onClose && (
            <button type="button" class="icon-button" aria-label="Close" onClick={onClose}>
              <Icon name="close" />
            </button>
          )}
        </header>
        {children}
      </div>
    </dialog>
  );
}

export interface MenuItem {
  label: string;
  danger?: boolean;
  action: () => void;
}

/** A menu button as the ARIA practices describe it: arrows move, Escape closes and gives focus back. */
export function Menu({ label, items, disabled }: { label: string; items: MenuItem[]; disabled?: boolean }) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  const close = (focus: boolean): void => {
    setOpen(false);
    if (focus) button.current?.focus();
  };
  // Before the next key press can come: it is meant for the menu.
  useLayoutEffect(() => {
    if (!open) return undefined;
    root.current?.querySelector<HTMLElement>("[role=menuitem]")?.focus();
    const outside = (event: PointerEvent): void => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);
  return (
    <div class="menu" ref={root}>
      <button
        ref={button}
        type="button"
        class="icon-button"
        aria-label={label}
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        disabled={disabled}
        onClick={() => setOpen(!open)}
      >
        <Icon name="more" />
      </button>
      {open && (
        <div
          class="menu-list"
          role="menu"
          id={id}
          aria-label={label}
          onKeyDown={(event) => {
            if (event.key === "Escape" || event.key === "Tab") close(event.key === "Escape");
            else moveFocus(event, root, "[role=menuitem]");
          }}
        >
          {items.map((item) => (
            <button
              key={item.label}
              type="button"
              role="menuitem"
              tabIndex={-1}
              class={item.danger ? "danger" : ""}
              onClick={() => {
                close(true);
                item.action();
              }}
            >
              {item.label}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

/** Roving focus: arrows, Home and End move among the elements that match; both axes move, so that no layout surprises. */
export function moveFocus(event: KeyboardEvent, root: RefObject<HTMLElement | SVGElement | null>, selector: string): HTMLElement | undefined {
  const all = [...(root.current?.querySelectorAll<HTMLElement>(selector) ?? [])].filter((element) => !(element as HTMLButtonElement).disabled);
  const at = all.indexOf(document.activeElement as HTMLElement);
  const steps: Record<string, number> = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 };
  const to = steps[event.key];
  if (to === undefined || all.length === 0) return undefined;
  event.preventDefault();
  const target = all[(to + all.length) % all.length];
  target?.focus();
  return target;
}

/** JSON for people. */
export function pretty(value: unknown): string {
  if (typeof value === "string") return value;
  return JSON.stringify(value, null, 2) ?? "";
}
