// The mob as a whole: its labels, the roster and edges that it ought to have, and how the runtime's tasks fare.

import { useEffect } from "preact/hooks";
import type { App } from "../app.ts";
import { MobLabels } from "./labels.tsx";
import { Reconcile } from "./reconcile.tsx";
import { Tasks } from "./tasks.tsx";

export function MobPanel({ app }: { app: App }) {
  // Labels that another tab has set leave no entry in the ledger, which would have them read anew.
  useEffect(() => {
    const abort = new AbortController();
    app.refresh(abort.signal).catch((error: unknown) => {
      if (!abort.signal.aborted) app.report("Reading the mob", error);
    });
    return () => abort.abort();
  }, []);
  return (
    <section class="page-panel wide" data-testid="mob-panel" aria-labelledby="mob-title">
      <h2 id="mob-title">Mob</h2>
      <MobLabels app={app} />
      <Reconcile app={app} />
      <Tasks app={app} />
    </section>
  );
}
