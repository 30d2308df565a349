// How errors show: the sentence, what to do about it where that is known, and the code and data for who wants them.

import { Fragment } from "preact";
import type { ConsoleError } from "../client.ts";
import { Icon, pretty } from "./common.tsx";

/** What a person can do, by code. Only where the message alone would leave them helpless. */
const NO_SUCH_METHOD = "This runtime is older than the page and cannot do that.";

const ADVICE: Record<string, string> = {
  method_not_found: NO_SUCH_METHOD,
  "-32601": NO_SUCH_METHOD,
  router_module_not_loaded: "Routing needs the module router. Start it, or give it to the runtime when that is built.",
  delivery_module_not_loaded: "Deliveries need the module delivery. Start it, or give it to the runtime when that is built.",
  rate_limited: "The route allows no more deliveries within this minute. Wait a little, or give the route a higher rate.",
  not_leader: "This tab only reads. Take over to act from here.",
  storage_quota_exceeded: "The browser gives this page no more room. Export, then free some space or erase.",
  storage_blocked: "Another tab holds the storage open with an older version. Close it, then try again.",
  storage_schema_too_new: "A newer version of this page has used the storage. Reload to get that version; erasing the site's data begins anew.",
  storage_version_change: "Another tab needs a newer version of the storage. Reload this page.",
  storage_unavailable: "The browser does not let this page store anything; private windows often do so.",
  runtime_crash_loop: "The runtime failed again at once. Reload the page; export the storage if it goes on.",
  stale_event_cursor: "The log is shorter than what this page had seen; it was read anew.",
};

/** The path in a definition or in parameters that an error names. */
function pathOf(error: ConsoleError): string | undefined {
  const path = (error.data as { path?: unknown } | null | undefined)?.path;
  return typeof path === "string" && !error.message.includes(path) ? path : undefined;
}

interface Issue {
  path: string;
  value?: unknown;
  message: string;
}

/** Everything that is wrong with a definition, each with its place. */
function issuesOf(error: ConsoleError): Issue[] {
  const issues = (error.data as { issues?: unknown } | null | undefined)?.issues;
  return Array.isArray(issues) ? (issues as Issue[]) : [];
}

export function ErrorText({ error, what }: { error: ConsoleError; what?: string }) {
  const path = pathOf(error);
  const issues = issuesOf(error);
  const advice = ADVICE[error.code];
  const detail = error.data !== undefined && error.data !== null && !(typeof error.data === "object" && Object.keys(error.data).length === 0);
  return (
    <div class="error-text" role="alert">
      <Icon name="warn" />
      <div>
        <p>
          {what !== undefined && <strong>{what}: </strong>}
          {path !== undefined && (
            <Fragment>
              <code>{path}</code>:{" "}
            </Fragment>
          )}
          {issues.length > 0 ? `The definition has ${issues.length === 1 ? "a mistake" : `${issues.length} mistakes`}.` : error.message}
        </p>
        {issues.length > 0 && (
          <ul class="issues">
            {issues.map((issue) => (
              <li key={`${issue.path} ${issue.message}`}>
                {issue.path !== "" && (
                  <Fragment>
                    <code>{issue.path}</code>
                    {issue.value !== undefined && (
                      <Fragment>
                        {" "}
                        = <code>{JSON.stringify(issue.value).slice(0, 80)}</code>
                      </Fragment>
                    )}
                    :{" "}
                  </Fragment>
                )}
                {issue.message}
              </li>
            ))}
          </ul>
        )}
        {advice !== undefined && <p class="quiet">{advice}</p>}
        <details>
          <summary>
            <span class="visually-hidden">Details of </span>
            {error.code}
          </summary>
          {detail && <pre tabIndex={0}>{pretty(error.data)}</pre>}
        </details>
      </div>
    </div>
  );
}
