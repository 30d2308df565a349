// What an answer of the remote's door means: an answer of the mob, or a refusal, and what is to be done about that.

import { ConsoleError } from "../client.ts";

/** What to make of a response. Only an `answer` has its body left to read. */
export type Verdict =
  | { kind: "answer" }
  /** Nobody has said who asks, or not in a way that is accepted. */
  | { kind: "unauthorized"; error: ConsoleError }
  /** It is known who asks, and that they may not. */
  | { kind: "forbidden"; error: ConsoleError }
  /** Too much was asked. */
  | { kind: "busy"; error: ConsoleError; waitMs: number }
  /** The server, or what stands before it, has nobody who answers. */
  | { kind: "away"; error: ConsoleError; waitMs: number | undefined }
  | { kind: "refused"; error: ConsoleError };

/** Waited after a 429 that does not say how long. */
const BUSY_MS = 5000;
/** No server is waited for longer than this without being asked. */
export const LONGEST_WAIT_MS = 300_000;

/** What a 401's reasons are for a person. */
const REASONS: Readonly<Record<string, string>> = {
  missing_credentials: "It answers only those who sign in.",
  invalid_token: "The server does not know this token.",
  expired_token: "The token has expired. Sign in with a new one.",
  revoked_token: "The token has been withdrawn. Sign in with another one.",
  wrong_audience: "The token is for another mob or server.",
  insufficient_scope: "The token does not allow this.",
};

interface Told {
  error?: string;
  reason?: string;
  message?: string;
}

/** Reads what a response's status and body say. `now` is the time, for a `retry-after` that is a date. */
export async function verdictOf(response: Response, now: number): Promise<Verdict> {
  switch (response.status) {
    case 401: {
      const told = await tell(response);
      const reason = told.reason ?? "unauthorized";
      return { kind: "unauthorized", error: new ConsoleError(reason, REASONS[reason] ?? told.message ?? "The server does not accept this token.", told) };
    }
    case 403: {
      const told = await tell(response);
      return { kind: "forbidden", error: new ConsoleError("forbidden", told.message ?? "The token does not allow this.", told) };
    }
    case 413:
      return { kind: "refused", error: new ConsoleError("request_too_large", "The server refuses so long a request.", await tell(response)) };
    case 429: {
      const told = await tell(response);
      const waitMs = retryAfter(response, now) ?? BUSY_MS;
      return { kind: "busy", waitMs, error: new ConsoleError("too_many_requests", `The server was asked too much at once. Try again in ${seconds(waitMs)}.`, told) };
    }
    case 502:
    case 503:
    case 504: {
      const told = await tell(response);
      return { kind: "away", waitMs: retryAfter(response, now), error: new ConsoleError("unavailable", told.message ?? `The server cannot answer at the moment (HTTP ${response.status}).`, told) };
    }
    default:
      return { kind: "answer" };
  }
}

/** The body's JSON as far as it is what the contract says; other text is kept as the message of nobody. */
async function tell(response: Response): Promise<Told> {
  // A body that breaks off says no less than the status does.
  const text = await response.text().catch(() => "");
  try {
    const value: unknown = JSON.parse(text);
    if (!value || typeof value !== "object") return {};
    const { error, reason, message } = value as Record<string, unknown>;
    return {
      ...(typeof error === "string" ? { error } : {}),
      ...(typeof reason === "string" ? { reason } : {}),
      ...(typeof message === "string" && message !== "" ? { message } : {}),
    };
  } catch {
    return {};
  }
}

/** `retry-after` in milliseconds: seconds or a date (RFC 9110, section 10.2.3). */
function retryAfter(response: Response, now: number): number | undefined {
  const text = response.headers.get("retry-after")?.trim() ?? "";
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), LONGEST_WAIT_MS) : undefined;
}

function seconds(ms: number): string {
  const whole = Math.max(1, Math.ceil(ms / 1000));
  return whole === 1 ? "a second" : `${whole} seconds`;
}
