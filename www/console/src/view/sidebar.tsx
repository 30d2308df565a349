// The roster: who is in the mob, in what state, with the last word of each.

import { useSignal } from "@preact/signals";
import { memo } from "preact/compat";
import { useRef } from "preact/hooks";
import type { App, MemberRow } from "../app.ts";
import type { Session } from "../session.ts";
import { shownLabels } from "../store/labels.ts";
import { Avatar, Icon, moveFocus, STATE_WORDS } from "./common.tsx";
import { SpawnDialog } from "./member-actions.tsx";
import { RuntimeFoot } from "./remote.tsx";

/** From this many members on there is a field to find one. */
const SEARCH_FROM = 9;

export function Sidebar({ session }: { session: Session }) {
  const { app, remote } = session;
  const list = useRef<HTMLDivElement>(null);
  const spawning = useSignal(false);
  const search = useSignal("");
  const rows = app.rows.value;
  const words = search.value.trim().toLowerCase();
  const shown = words === "" ? rows : rows.filter((row) => `${row.identity} ${row.displayName} ${row.role} ${row.state} ${labelsText(row)}`.toLowerCase().includes(words));
  const groups = new Map<string, MemberRow[]>();
  for (const row of shown) groups.set(row.group, [...(groups.get(row.group) ?? []), row]);
  const selected = app.selected.value;
  const focusable = shown.some((row) => row.identity === selected) ? selected : shown[0]?.identity;
  return (
    <aside class="sidebar" data-testid="agent-sidebar" aria-label="Members">
      <header class="panel-head">
        <h2>Members</h2>
        <span class="quiet">{rows.length}</span>
        <span class="spacer" />
        <button type="button" class="icon-button" aria-label="Add a member" title="Add a member" disabled={app.readOnly.value} onClick={() => (spawning.value = true)}>
          <Icon name="plus" />
        </button>
      </header>
      {rows.length >= SEARCH_FROM && (
        <input class="search" type="search" aria-label="Find a member" placeholder="Find a member" value={search.value} onInput={(event) => (search.value = event.currentTarget.value)} />
      )}
      {rows.length === 0 ? (
        <p class="empty">{app.caughtUp.value ? "Nobody is in this mob yet. Add the first member." : "Reading the roster…"}</p>
      ) : (
        <div class="member-list" data-testid="sidebar-list" role="listbox" aria-label="Members" ref={list} onKeyDown={(event) => moveFocus(event, list, "[role=option]")}>
          {[...groups].map(([group, members]) => (
            <div key={group} role="group" aria-label={group}>
              {groups.size > 1 && groups.size < rows.length && (
                <div class="group-name" aria-hidden="true">
                  {group}
                </div>
              )}
              {members.map((row) => (
                <Row key={row.identity} row={row} selected={row.identity === selected} focusable={row.identity === focusable} app={app} />
              ))}
            </div>
          ))}
          {shown.length === 0 && <p class="empty">No member matches.</p>}
        </div>
      )}
      {remote && <RuntimeFoot app={app} remote={remote} onSignOut={() => session.signOut()} />}
      {spawning.value && <SpawnDialog app={app} onClose={() => (spawning.value = false)} />}
    </aside>
  );
}

/** Whose delegate somebody is: the label names the implicit mob, `{mob}.{parent}`. */
export function parentOf(labels: Readonly<Record<string, string>>): string | undefined {
  const group = labels["source_mob_id"];
  return group === undefined ? undefined : group.slice(group.indexOf(".") + 1);
}

interface RowProps {
  row: MemberRow;
  selected: boolean;
  focusable: boolean;
  app: App;
}

/** A member's labels in a line, `team: core · tier: 1`. */
function labelsText(row: MemberRow): string {
  return shownLabels(row.labels)
    .map(([key, value]) => (value === "" ? key : `${key}: ${value}`))
    .join(" · ");
}

function RowView({ row, selected, focusable, app }: RowProps) {
  const labels = labelsText(row);
  const parent = parentOf(row.labels);
  const onSelect = (): void => app.select(row.identity);
  return (
    <div
      class={`member${row.addressable ? "" : " dimmed"}`}
      role="option"
      aria-selected={selected}
      tabIndex={focusable ? 0 : -1}
      data-identity={row.identity}
      data-state={row.state}
      data-role={row.role}
      onClick={onSelect}
      onKeyDown={(event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        onSelect();
      }}
    >
      <Avatar name={row.identity} role={row.role} state={row.state} />
      <span class="member-text">
        <span class="member-name">
          <span class="name">{row.displayName}</span>
          {row.role !== row.identity && parent === undefined && <span class="role">{row.role}</span>}
          {parent !== undefined && (
            <span class="badge" data-testid="delegate-badge" title={`Made by ${parent} for a task`}>
              delegate
            </span>
          )}
        </span>
        <span class={`member-preview${row.state === "broken" ? " bad" : ""}`}>
          <span class="visually-hidden">{STATE_WORDS[row.state] ?? row.state}. </span>
          {row.state === "broken" ? (row.error ?? "broken") : row.state === "waiting_model" || row.state === "waiting_approval" ? STATE_WORDS[row.state] : row.preview || (STATE_WORDS[row.state] ?? row.state)}
        </span>
        {labels !== "" && (
          <span class="member-labels" title={labels}>
            <span class="visually-hidden">Labels: </span>
            {labels}
          </span>
        )}
      </span>
      {row.unread && <span class="unread" aria-label="new" role="img" />}
    </div>
  );
}

/** Rows are made anew with every event of any member; most of them say the same as before. */
const Row = memo(RowView, (before, after) => before.selected === after.selected && before.focusable === after.focusable && sameRow(before.row, after.row));

function sameRow(a: MemberRow, b: MemberRow): boolean {
  return (
    a.identity === b.identity &&
    a.displayName === b.displayName &&
    a.role === b.role &&
    a.state === b.state &&
    a.error === b.error &&
    a.preview === b.preview &&
    a.unread === b.unread &&
    labelsText(a) === labelsText(b) &&
    a.addressable === b.addressable
  );
}
