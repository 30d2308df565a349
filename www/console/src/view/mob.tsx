// The mob as a whole: its labels, and the roster and edges that it ought to have.

import type { App } from "../app.ts";
import { MobLabels } from "./labels.tsx";
import { Reconcile } from "./reconcile.tsx";

export function MobPanel({ app }: { app: App }) {
  return (
    <section class="page-panel wide" data-testid="mob-panel" aria-labelledby="mob-title">
      <h2 id="mob-title">Mob</h2>
      <MobLabels app={app} />
      <Reconcile app={app} />
    </section>
  );
}
