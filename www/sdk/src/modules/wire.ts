// What a page and the worker that serves a module say to each other. All values cross as JSON text, so that nothing fails to be cloned.

/** The field that marks these messages among others of the same worker. */
export const MARK = "mobkit-module";

/** From the page. Every request is answered by its `id`. */
export type ToWorker =
  | { id: number; ask: "start" }
  | { id: number; ask: "tools" }
  | { id: number; ask: "stop" }
  | { id: number; ask: "call"; name: string; args: string; context: string }
  /** Nobody waits for this call any more. */
  | { cancel: number };

/** From the worker. It speaks first: what is sent to a worker before its script has run to the end may be lost. */
export type FromWorker =
  /** With the name of the lock that it holds for its life; null where there are no locks. */
  | { ready: string | null }
  | { id: number; value: string }
  | { id: number; error: { name: string; message: string } }
  | { event: string }
  /** It is broken, by its own account or because of an error that nobody caught. */
  | { ended: string };

/** A message as it is posted. */
export function marked(message: ToWorker | FromWorker): Record<string, unknown> {
  return { [MARK]: message };
}

/** The message in what was posted, if it is one of these. */
export function unmarked<Message>(data: unknown): Message | undefined {
  return (Object(data) as Record<string, Message | undefined>)[MARK];
}
