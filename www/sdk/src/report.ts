// What goes wrong where nobody waits for it: hooks of the application's that throw.

/**
 * Tells of an error, as of one that nobody has caught. On a server that would be the end of the process (Deno) or is unknown (Node): there it
 * is written to the console.
 */
export function report(error: unknown): void {
  if (typeof reportError === "function" && !("Deno" in globalThis)) reportError(error);
  else console.error(error);
}
