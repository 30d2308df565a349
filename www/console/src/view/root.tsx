// The page: header, banners, three columns, and the tabs of the middle one.

import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { View } from "../app.ts";
import type { Session } from "../session.ts";
import { rowsOfLabels } from "../store/labels.ts";
import { ApprovalsPanel, useInbox } from "./approvals.tsx";
import { Chat } from "./chat.tsx";
import { count, Icon, moveFocus } from "./common.tsx";
import { Changes, DefinitionPanel } from "./definition.tsx";
import { ErrorText } from "./error.tsx";
import { EventLog } from "./event-log.tsx";
import { Feed } from "./feed.tsx";
import { LabelList } from "./labels.tsx";
import { Ledger } from "./ledger.tsx";
import { MobPanel } from "./mob.tsx";
import { ModelPanel } from "./model.tsx";
import { ModulesPanel } from "./modules.tsx";
import { connectionOf, RemoteBanners, RemoteChip } from "./remote.tsx";
import { Sidebar } from "./sidebar.tsx";
import { SignIn } from "./sign-in.tsx";
import { StoragePanel } from "./storage.tsx";
import { TimelinePanel } from "./timeline.tsx";
import { Topology } from "./topology.tsx";

const TABS: { view: View; label: string; narrowOnly?: boolean }[] = [
  { view: "members", label: "Members", narrowOnly: true },
  { view: "chat", label: "Chat" },
  { view: "activity", label: "Activity", narrowOnly: true },
  { view: "timeline", label: "Timeline" },
  { view: "ledger", label: "Ledger" },
  { view: "events", label: "Events" },
  { view: "mob", label: "Mob" },
  { view: "modules", label: "Modules" },
  { view: "approvals", label: "Approvals" },
  { view: "definition", label: "Definition" },
  { view: "storage", label: "Storage" },
  { view: "model", label: "Model" },
];

export function Root({ session }: { session: Session }) {
  const { app, remote } = session;
  const boot = session.boot.value;
  // Before the first sign-in there is nothing to show.
  const empty = remote?.signIn.value.needed && boot.phase !== "ready";
  useSelection(session);
  useTheme(session);
  useTitle(session);
  useInbox(session);
  return (
    <div class="console" data-testid="mobkit-console" data-view={app.view.value} data-client-state={app.client.value.state} data-boot={boot.phase}>
      <Header session={session} />
      <Banners session={session} />
      {boot.phase === "failed" ? (
        <StartFailed session={session} />
      ) : empty ? null : (
        <div class="columns">
          <Sidebar session={session} />
          <Centre session={session} />
          <div class="rail">
            <Topology app={app} />
            <Feed app={app} />
          </div>
        </div>
      )}
      <Problems session={session} />
      {remote && <SignIn remote={remote} meanwhile={boot.phase === "ready"} />}
    </div>
  );
}

/** Opens the chat that was open last, or the lead's, as soon as there is somebody; falls back when a member leaves for good. */
function useSelection(session: Session): void {
  const { app, settings } = session;
  useSignalEffect(() => {
    const rows = app.rows.value;
    const selected = app.selected.value;
    if (selected !== undefined) {
      if (settings.selected.peek() !== selected) settings.selected.value = selected;
      return;
    }
    if (!app.caughtUp.value || rows.length === 0) return;
    const remembered = rows.find((row) => row.identity === settings.selected.peek());
    app.selected.value = (remembered ?? rows[0])?.identity;
  });
}

function useTheme(session: Session): void {
  useSignalEffect(() => {
    const theme = session.settings.theme.value;
    if (theme === "system") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.dataset["theme"] = theme;
  });
}

/** The tab says how many work, so that a person who looked away sees it end. */
function useTitle(session: Session): void {
  useSignalEffect(() => {
    const { app } = session;
    const running = app.totals.value.running;
    const asked = app.inbox.count.value > 0;
    const waiting = app.waiting.value !== undefined;
    document.title = `${asked || (waiting && running === 0) ? "(!) " : running > 0 ? `(${running}) ` : ""}${app.status.value?.mob_id ?? "mobkit"} console`;
  });
}

function Header({ session }: { session: Session }) {
  const { app, remote } = session;
  const status = app.status.value;
  const totals = app.totals.value;
  const theme = session.settings.theme;
  const next = theme.value === "system" ? "dark" : theme.value === "dark" ? "light" : "system";
  const icon = theme.value === "system" ? "auto" : theme.value === "dark" ? "moon" : "sun";
  const model = session.model.value;
  const stopped = status?.mob_state?.toLowerCase() === "stopped";
  return (
    <header class="top">
      <h1>
        <svg class="mark" viewBox="0 0 24 24" aria-hidden="true">
          <path d="M6 7 12 17 18 7" />
          <circle cx="6" cy="7" r="3" />
          <circle cx="18" cy="7" r="3" />
          <circle cx="12" cy="17" r="3.6" />
        </svg>
        <span>{status?.mob_id ?? "mobkit"}</span>
      </h1>
      <span class={`pill ${stopped ? "pill-warn" : ""}`} data-testid="mob-state">
        {session.boot.value.phase === "starting" ? (remote ? connectionOf(app, remote).words : "starting") : (status?.mob_state ?? app.client.value.state).toLowerCase()}
      </span>
      {status && !app.readOnly.value && (
        <button
          type="button"
          class="icon-button"
          aria-label={stopped ? "Resume the mob" : "Pause the mob"}
          title={stopped ? "Resume the mob" : "Pause the mob"}
          onClick={() => void app.attempt(stopped ? "Resuming" : "Pausing", () => app.change(stopped ? "mobkit/resume" : "mobkit/stop", {}))}
        >
          <Icon name={stopped ? "play" : "pause"} />
        </button>
      )}
      <div class="top-labels hide-narrow">
        <LabelList labels={rowsOfLabels(app.mobLabels.value).map(({ key, value }) => [key, value])} label="Labels of the mob" testId="top-labels" />
      </div>
      <span class="spacer" />
      <span class="quiet hide-narrow" data-testid="totals">
        {totals.running > 0 && `${totals.running} working${totals.input + totals.output > 0 ? " · " : ""}`}
        {totals.input + totals.output > 0 && `${count(totals.input + totals.output)} tokens`}
      </span>
      {remote ? (
        <RemoteChip app={app} remote={remote} />
      ) : (
        <button type="button" class={`chip${model.kind === "none" ? " chip-warn" : ""}`} data-testid="model-chip" onClick={() => (app.view.value = "model")}>
          <Icon name="model" />
          {model.kind === "demo" ? "Demo model" : model.kind === "openai" ? model.model || hostOf(model.baseUrl) : "Key needed"}
        </button>
      )}
      <button type="button" class="icon-button" aria-label={`Theme: ${theme.value}. Change to ${next}`} title={`Theme: ${theme.value}`} data-testid="theme-toggle" onClick={() => (theme.value = next)}>
        <Icon name={icon} />
      </button>
    </header>
  );
}

function hostOf(address: string): string {
  try {
    return new URL(address).host;
  } catch {
    return address;
  }
}

function Banners({ session }: { session: Session }) {
  const { app, remote } = session;
  const client = app.client.value;
  const changes = app.status.value?.definition_changes ?? [];
  const changesKey = JSON.stringify(changes);
  if (session.boot.value.phase === "failed") return null;
  return (
    <div class="banners">
      {remote ? <RemoteBanners app={app} remote={remote} /> : <OwnBanners session={session} />}
      {app.connection.value && (remote ? client.state === "leader" : client.state !== "crashed" && client.state !== "stopped") && session.boot.value.phase === "ready" && app.caughtUp.value && (
        <Interrupted message={app.connection.value.error.message} />
      )}
      {changes.length > 0 && session.settings.seenChanges.value !== changesKey && (
        <div class="banner banner-tall" role="status" data-testid="definition-banner">
          <div>
            <p>
              <b>The definition has changed since the state was stored.</b>
            </p>
            <Changes changes={changes} />
          </div>
          <button type="button" onClick={() => (session.settings.seenChanges.value = changesKey)}>
            Understood
          </button>
        </div>
      )}
    </div>
  );
}

/** What a runtime of the page's own may come to. */
function OwnBanners({ session }: { session: Session }) {
  const { app } = session;
  const client = app.client.value;
  const waiting = app.waiting.value;
  const busy = useSignal(false);
  const takeOver = async (): Promise<void> => {
    busy.value = true;
    await app.attempt("Taking over", () => app.control("take_over"));
    busy.value = false;
  };
  return (
    <>
      {client.state === "follower" && (
        <div class="banner" role="status" data-testid="follower-banner">
          <p>
            <b>In use in another tab.</b> This one follows what happens there and cannot change it, until that tab is closed or you take over.
          </p>
          <button type="button" class="primary" data-testid="take-over" disabled={busy.value} onClick={() => void takeOver()}>
            Take over
          </button>
        </div>
      )}
      {client.state === "crashed" && (
        <div class="banner banner-warn" role="alert">
          <p>
            <b>The runtime crashed</b> and starts anew from what is stored. {client.error?.message}
          </p>
        </div>
      )}
      {client.state === "stopped" && session.boot.value.phase === "ready" && (
        <div class="banner banner-warn" role="alert" data-testid="stopped-banner">
          <p>
            <b>The runtime has stopped.</b> {client.error?.message ?? "Everything that was answered is stored."}
          </p>
          <button type="button" class="primary" onClick={() => location.reload()}>
            Reload
          </button>
        </div>
      )}
      {client.restarts > 0 && client.state === "leader" && <RestartNote restarts={client.restarts} />}
      {client.state === "leader" && (session.model.value.kind === "none" || waiting) ? (
        <div class="banner banner-warn" role="status" data-testid="waiting-banner">
          <p>
            <b>{waiting ? "Work waits for a model." : "The model's key is needed again."}</b>{" "}
            {session.model.value.kind === "none"
              ? `${waiting ? `${app.person(waiting.identity).name} cannot go on without its key.` : ""} It was kept in memory only and went with the last visit.`
              : waiting && `${app.person(waiting.identity).name} cannot go on${waiting.reason ? `: ${waiting.reason}` : "."}`}
          </p>
          {app.view.value !== "model" && (
            <button type="button" class="primary" onClick={() => (app.view.value = "model")}>
              {session.model.value.kind === "none" ? "Give the key" : "Model settings"}
            </button>
          )}
        </div>
      ) : null}
    </>
  );
}

/** Told when it lasts: servers and what stands before them cut long streams, and those are taken up again at once. */
const INTERRUPTED_MS = 800;

function Interrupted({ message }: { message: string }) {
  const lasts = useSignal(false);
  useEffect(() => {
    const timer = setTimeout(() => (lasts.value = true), INTERRUPTED_MS);
    return () => clearTimeout(timer);
  }, []);
  if (!lasts.value) return null;
  return (
    <div class="banner banner-warn" role="status" data-testid="connection-banner">
      <p>
        <b>The live view is interrupted</b> and is being taken up again. {message}
      </p>
    </div>
  );
}

function RestartNote({ restarts }: { restarts: number }) {
  const hidden = useSignal(0);
  if (hidden.value === restarts) return null;
  return (
    <div class="banner" role="status">
      <p>The runtime crashed and was started anew from what is stored{restarts > 1 ? ` (${restarts} times)` : ""}. Nothing that was answered is lost.</p>
      <button type="button" onClick={() => (hidden.value = restarts)}>
        Dismiss
      </button>
    </div>
  );
}

function Centre({ session }: { session: Session }) {
  const { app } = session;
  const tabs = useRef<HTMLDivElement>(null);
  const panel = useRef<HTMLDivElement>(null);
  const view = app.view.value;
  const wide = useWide();
  // On a wide screen the side columns are always there: their tabs mean the chat.
  const shown: View = wide && (view === "members" || view === "activity") ? "chat" : view;
  const visible = TABS.filter((tab) => !wide || !tab.narrowOnly);
  return (
    <main class="centre">
      <div
        class="tabs"
        role="tablist"
        aria-label="Panels"
        ref={tabs}
        onKeyDown={(event) => {
          const target = moveFocus(event, tabs, "[role=tab]");
          if (target) app.view.value = target.dataset["view"] as View;
        }}
      >
        {visible.map((tab) => (
          <button
            key={tab.view}
            type="button"
            role="tab"
            id={`tab-${tab.view}`}
            data-testid={`tab-${tab.view}`}
            data-view={tab.view}
            aria-selected={shown === tab.view}
            aria-controls={shown === tab.view && !(tab.narrowOnly ?? false) ? "centre-panel" : undefined}
            tabIndex={shown === tab.view ? 0 : -1}
            title={tab.label}
            onClick={() => (app.view.value = tab.view)}
          >
            <Icon name={tab.view} />
            <span class="tab-word">{tab.label}</span>
            {tab.view === "approvals" && app.inbox.count.value > 0 && (
              <span class="tab-count" data-testid="approvals-count">
                {app.inbox.count.value}
                <span class="visually-hidden"> pending</span>
              </span>
            )}
          </button>
        ))}
      </div>
      <div class="tab-panel" role="tabpanel" id="centre-panel" aria-labelledby={`tab-${shown}`} ref={panel}>
        {shown === "timeline" ? (
          <TimelinePanel app={app} />
        ) : shown === "ledger" ? (
          <Ledger app={app} />
        ) : shown === "events" ? (
          <EventLog app={app} />
        ) : shown === "mob" ? (
          <MobPanel app={app} />
        ) : shown === "modules" ? (
          <ModulesPanel app={app} />
        ) : shown === "approvals" ? (
          <ApprovalsPanel session={session} />
        ) : shown === "definition" ? (
          <DefinitionPanel session={session} />
        ) : shown === "storage" ? (
          <StoragePanel session={session} />
        ) : shown === "model" ? (
          <ModelPanel session={session} />
        ) : (
          <Chat app={app} />
        )}
      </div>
    </main>
  );
}

/** The width from which all three columns fit; the style sheet has the same number. */
const WIDE = "(min-width: 900px)";

function useWide(): boolean {
  const wide = useSignal(matchMedia(WIDE).matches);
  useEffect(() => {
    const query = matchMedia(WIDE);
    const update = (): void => void (wide.value = query.matches);
    query.addEventListener("change", update);
    return () => query.removeEventListener("change", update);
  }, []);
  return wide.value;
}

/** A start that failed: the reason, and the ways out. */
function StartFailed({ session }: { session: Session }) {
  const boot = session.boot.value;
  const text = useSignal(session.definition.value);
  const own = session.settings.definition.value !== undefined;
  const busy = useSignal(false);
  const problem = useSignal<string | undefined>(undefined);
  if (boot.phase !== "failed") return null;
  const run = async (action: () => Promise<void>): Promise<void> => {
    busy.value = true;
    problem.value = undefined;
    try {
      await action();
    } catch (error) {
      problem.value = error instanceof Error ? error.message : String(error);
    }
    busy.value = false;
  };
  return (
    <main class="start-failed" data-testid="start-failed">
      <h2>{session.remote ? "The mob could not be reached" : "The mob could not start"}</h2>
      <ErrorText error={boot.error} />
      {session.definition.value !== "" && <textarea class="code" spellcheck={false} aria-label="Definition in TOML" value={text.value} onInput={(event) => (text.value = event.currentTarget.value)} />}
      {problem.value !== undefined && <p role="alert">{problem.value}</p>}
      <div class="buttons start">
        <button type="button" class="primary" disabled={busy.value} onClick={() => void run(() => (text.value === session.definition.value ? session.start() : session.useDefinition(text.value)))}>
          {text.value === session.definition.value ? "Try again" : "Start with this definition"}
        </button>
        {own && (
          <button type="button" disabled={busy.value} onClick={() => void run(() => session.useDefinition(undefined))}>
            Back to the served definition
          </button>
        )}
        <button type="button" onClick={() => location.reload()}>
          Reload the page
        </button>
      </div>
    </main>
  );
}

function Problems({ session }: { session: Session }) {
  const { app } = session;
  return (
    <div class="problems" data-testid="problems" aria-label="Problems" role="region">
      {app.problems.value.map((problem) => (
        <div key={problem.id} class="problem">
          <ErrorText what={problem.what} error={problem.error} />
          <button type="button" class="icon-button" aria-label="Dismiss" onClick={() => app.dismiss(problem.id)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}

