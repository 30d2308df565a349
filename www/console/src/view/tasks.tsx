// How the runtime's supervised tasks fare: which there are, and what holds one up.

import type { App } from "../app.ts";
import { count, Time } from "./common.tsx";

const TASK_WORDS: Readonly<Record<string, string>> = {
  mob_events: "Structural events",
  agent_events: "Agent events",
  event_log: "Event log of the application",
  console_log: "Console log of the application",
  persistent_metadata: "Cursor at the application",
};

const STATE_WORDS: Readonly<Record<string, string>> = { running: "works", retrying: "tries again", failed: "has given up" };

export function Tasks({ app }: { app: App }) {
  const tasks = app.status.value?.tasks ?? [];
  if (tasks.length === 0) return null;
  return (
    <section class="card" aria-labelledby="tasks-title" data-testid="tasks">
      <h3 id="tasks-title">Tasks</h3>
      <ul class="tasks">
        {tasks.map((task) => (
          <li key={task.name} data-task={task.name} data-state={task.state}>
            <b>{TASK_WORDS[task.name] ?? task.name}</b> {STATE_WORDS[task.state] ?? task.state}
            {task.attempts > 0 && `, ${count(task.attempts)} ${task.attempts === 1 ? "attempt" : "attempts"} in vain`}
            {task.lost > 0 && `, ${count(task.lost)} events were lost`}
            {task.error !== undefined && (
              <span class="quiet">
                {" "}
                {task.failed_at_ms !== undefined && <Time at={task.failed_at_ms} exact />} {task.error}
              </span>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
