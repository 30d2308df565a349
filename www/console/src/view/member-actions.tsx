// What a person does to the roster and the wiring: add, retire, respawn, wire, unwire. Each asks what it must, and says what failed.

import { useSignal } from "@preact/signals";
import type { App, MemberRow } from "../app.ts";
import { type ConsoleError, toConsoleError } from "../client.ts";
import { Avatar, Dialog, Menu } from "./common.tsx";
import { ErrorText } from "./error.tsx";

export function SpawnDialog({ app, onClose }: { app: App; onClose: () => void }) {
  const profiles = app.profiles.value;
  const profile = useSignal(profiles[0]?.name ?? "");
  const identity = useSignal(freeName(app, profiles[0]?.name ?? "member"));
  const touched = useSignal(false);
  const message = useSignal("");
  const wires = useSignal<ReadonlySet<string>>(new Set());
  const error = useSignal<ConsoleError | undefined>(undefined);
  const busy = useSignal(false);
  const described = profiles.find((entry) => entry.name === profile.value);

  const submit = async (): Promise<void> => {
    busy.value = true;
    error.value = undefined;
    const name = identity.value.trim();
    try {
      await app.change("mobkit/spawn_member", {
        profile: profile.value,
        meerkat_id: name,
        ...(message.value.trim() ? { initial_message: message.value.trim() } : {}),
      });
    } catch (caught) {
      error.value = toConsoleError(caught);
      busy.value = false;
      return;
    }
    // The member is there now: a wire that fails is a problem of its own.
    const wired = new Set(app.members.value.get(name)?.wired_to);
    for (const peer of wires.value) {
      if (!wired.has(peer)) await app.attempt(`Wiring ${name} with ${peer}`, () => app.change("mobkit/wire_members", { a: name, b: peer }));
    }
    app.select(name);
    onClose();
  };

  return (
    <Dialog title="Add a member" onClose={onClose}>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <label>
          Profile
          <select
            value={profile.value}
            onChange={(event) => {
              profile.value = event.currentTarget.value;
              if (!touched.value) identity.value = freeName(app, profile.value);
            }}
          >
            {profiles.map((entry) => (
              <option key={entry.name} value={entry.name}>
                {entry.name}
              </option>
            ))}
          </select>
          {described && (
            <small>
              {described.peer_description ? `${described.peer_description} · ` : ""}model {described.model}
            </small>
          )}
        </label>
        <label>
          Name
          <input
            required
            maxLength={128}
            pattern="[^\s\/]+"
            title="No spaces and no slash"
            value={identity.value}
            onInput={(event) => {
              touched.value = true;
              identity.value = event.currentTarget.value;
            }}
          />
        </label>
        <label>
          <span>
            First message <span class="quiet">optional</span>
          </span>
          <textarea rows={3} value={message.value} onInput={(event) => (message.value = event.currentTarget.value)} />
        </label>
        {app.rows.value.length > 0 && (
          <fieldset>
            <legend>Wire with</legend>
            <div class="checks">
              {app.rows.value.map((row) => (
                <label key={row.identity} class="check">
                  <input
                    type="checkbox"
                    checked={wires.value.has(row.identity)}
                    onChange={(event) => {
                      const next = new Set(wires.value);
                      if (event.currentTarget.checked) next.add(row.identity);
                      else next.delete(row.identity);
                      wires.value = next;
                    }}
                  />
                  {row.displayName}
                </label>
              ))}
            </div>
          </fieldset>
        )}
        {error.value && <ErrorText error={error.value} />}
        <div class="buttons">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={busy.value || profiles.length === 0}>
            Add
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** The first name of a profile that nobody has. */
function freeName(app: App, profile: string): string {
  const taken = new Set(app.rows.value.map((row) => row.identity));
  if (!taken.has(profile)) return profile;
  for (let n = 2; ; n++) if (!taken.has(`${profile}-${n}`)) return `${profile}-${n}`;
}

export function MemberMenu({ app, row }: { app: App; row: MemberRow }) {
  const asking = useSignal<"retire" | "respawn" | "wire" | undefined>(undefined);
  const close = (): void => void (asking.value = undefined);
  const name = row.identity;
  return (
    <>
      <Menu
        label={`Actions for ${row.displayName}`}
        disabled={app.readOnly.value}
        items={[
          { label: "Wiring…", action: () => (asking.value = "wire") },
          ...(row.state === "running"
            ? [{ label: "Cancel its turn", action: () => void app.attempt(`Cancelling the turn of ${name}`, () => app.change("mobkit/force_cancel_member", { member_id: name })) }]
            : []),
          { label: "Respawn…", action: () => (asking.value = "respawn") },
          { label: "Retire…", danger: true, action: () => (asking.value = "retire") },
        ]}
      />
      {asking.value === "retire" && (
        <Confirm
          title={`Retire ${row.displayName}?`}
          text="It leaves the mob and its wires are cut. What it said stays in the log."
          action="Retire"
          danger
          onClose={close}
          onConfirm={() => void app.attempt(`Retiring ${name}`, () => app.change("mobkit/retire_member", { member_id: name }))}
        />
      )}
      {asking.value === "respawn" && (
        <Confirm
          title={`Respawn ${row.displayName}?`}
          text="It starts anew as its next generation, with an empty memory and the same wires. Its present work ends."
          action="Respawn"
          onClose={close}
          onConfirm={() => void app.attempt(`Respawning ${name}`, () => app.change("mobkit/respawn_member", { member_id: name }))}
        />
      )}
      {asking.value === "wire" && <WireDialog app={app} identity={name} onClose={close} />}
    </>
  );
}

/** A question with two answers. */
export function Confirm({ title, text, action, danger = false, onClose, onConfirm }: { title: string; text: string; action: string; danger?: boolean; onClose: () => void; onConfirm: () => void }) {
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{text}</p>
      <div class="buttons">
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        <button
          type="button"
          class={danger ? "danger" : "primary"}
          onClick={() => {
            onClose();
            onConfirm();
          }}
        >
          {action}
        </button>
      </div>
    </Dialog>
  );
}

function WireDialog({ app, identity, onClose }: { app: App; identity: string; onClose: () => void }) {
  const row = app.rows.value.find((entry) => entry.identity === identity);
  const busy = useSignal<string | undefined>(undefined);
  const error = useSignal<ConsoleError | undefined>(undefined);
  const others = app.rows.value.filter((entry) => entry.identity !== identity);
  const wired = new Set(row?.wiredTo);
  const toggle = async (peer: string): Promise<void> => {
    busy.value = peer;
    error.value = undefined;
    try {
      await app.change(wired.has(peer) ? "mobkit/unwire_members" : "mobkit/wire_members", { a: identity, b: peer });
    } catch (caught) {
      error.value = toConsoleError(caught);
    }
    busy.value = undefined;
  };
  return (
    <Dialog title={`Whom ${row?.displayName ?? identity} can reach`} onClose={onClose}>
      {others.length === 0 && <p class="empty">There is nobody else.</p>}
      <ul class="wire-list">
        {others.map((other) => (
          <li key={other.identity}>
            <Avatar name={other.identity} role={other.role} size="sm" />
            <span class="name">{other.displayName}</span>
            <span class="role">{other.role}</span>
            <span class="spacer" />
            <button
              type="button"
              role="switch"
              class="switch"
              aria-checked={wired.has(other.identity)}
              aria-label={`Wire with ${other.displayName}`}
              disabled={busy.value !== undefined || app.readOnly.value}
              onClick={() => void toggle(other.identity)}
            />
          </li>
        ))}
      </ul>
      {error.value && <ErrorText error={error.value} />}
      <div class="buttons">
        <button type="button" class="primary" onClick={onClose}>
          Done
        </button>
      </div>
    </Dialog>
  );
}
