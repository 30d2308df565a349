// The live feed: what happens in the mob, newest first, one line each.

import { useSignal } from "@preact/signals";
import type { App } from "../app.ts";
import type { FeedEntry } from "../store/feed.ts";
import { Avatar, Time } from "./common.tsx";

type Filter = "all" | "member" | "trouble";
const SHOWN = 120;

export function Feed({ app }: { app: App }) {
  app.feedVersion.value;
  const filter = useSignal<Filter>("all");
  const selected = app.selected.value;
  const entries: FeedEntry[] = [];
  for (let at = app.feed.length - 1; at >= 0 && entries.length < SHOWN; at--) {
    const entry = app.feed[at];
    if (!entry) continue;
    if (filter.value === "member" && entry.identity !== selected && entry.peer !== selected) continue;
    if (filter.value === "trouble" && entry.tone !== "warn" && entry.tone !== "error") continue;
    entries.push(entry);
  }
  const choices: [Filter, string][] = [
    ["all", "All"],
    ["member", "Chosen"],
    ["trouble", "Trouble"],
  ];
  return (
    <section class="panel feed" data-testid="activity-feed" aria-labelledby="feed-title">
      <header class="panel-head">
        <h2 id="feed-title">Activity</h2>
        <span class="spacer" />
        <div class="segments" role="group" aria-label="Show">
          {choices.map(([value, label]) => (
            <button key={value} type="button" aria-pressed={filter.value === value} onClick={() => (filter.value = value)}>
              {label}
            </button>
          ))}
        </div>
      </header>
      <ol class="feed-list" tabIndex={0} aria-label="Events, newest first">
        {entries.map((entry) => (
          <li key={entry.id} class={`feed-entry tone-${entry.tone}`} data-tone={entry.tone}>
            {entry.identity !== undefined ? <Avatar name={entry.identity} role={app.person(entry.identity).role} size="sm" /> : <span class="feed-mark" aria-hidden="true" />}
            <div>
              <p>
                {entry.identity !== undefined && <b>{app.person(entry.identity).name}</b>} {entry.title}
                {entry.peer !== undefined && (
                  <>
                    {entry.tone === "structure" ? " with " : " "}
                    <b>{app.person(entry.peer).name}</b>
                  </>
                )}
                {entry.tone === "structure" && entry.detail !== "" && ` ${entry.detail}`}
              </p>
              {entry.tone !== "structure" && entry.detail !== "" && <p class="feed-detail">{entry.detail}</p>}
            </div>
            <Time at={entry.at} />
          </li>
        ))}
      </ol>
      {entries.length === 0 && <p class="empty">{filter.value === "trouble" ? "No trouble." : "Nothing has happened yet."}</p>}
    </section>
  );
}
