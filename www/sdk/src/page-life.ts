// A page that the browser puts into its back-forward cache, and takes out again. A lock that is held or waited for bars the page
// from there, and a page that sleeps must not lead: others would wait for it.

/** What sleeps and wakes with a page. */
export interface Sleeper {
  sleep(): void;
  wake(): void;
}

/** What tells of it. */
export type PageEvents = Pick<EventTarget, "addEventListener" | "removeEventListener">;

/** Sleeps and wakes with the page. The function that is returned ends that. */
export function sleepWithPage(page: PageEvents, sleeper: Sleeper): () => void {
  // Only a page that may come back is persisted.
  const on = (act: () => void) => (event: Event): void => {
    if ((event as PageTransitionEvent).persisted) act();
  };
  const listeners = [["pagehide", on(() => sleeper.sleep())], ["pageshow", on(() => sleeper.wake())]] as const;
  for (const [type, listener] of listeners) page.addEventListener(type, listener);
  return () => {
    for (const [type, listener] of listeners) page.removeEventListener(type, listener);
  };
}
