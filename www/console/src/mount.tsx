// Puts the page into the document.

import { render } from "preact";
import type { ConsoleError } from "./client.ts";
import type { Session } from "./session.ts";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/panels.css";
import "./styles/mob.css";
import "./styles/modules.css";
import { ErrorText } from "./view/error.tsx";
import { Root } from "./view/root.tsx";

export function mount(session: Session, root: HTMLElement): void {
  root.replaceChildren();
  render(<Root session={session} />, root);
}

/** In place of a page that its address does not allow. */
export function mountRefusal(error: ConsoleError, root: HTMLElement): void {
  root.replaceChildren();
  render(
    <main class="start-failed" data-testid="start-failed">
      <h1>This address shows no mob</h1>
      <ErrorText error={error} />
      <p>
        <a href={location.pathname}>Go on with a mob of this page's own</a>
      </p>
    </main>,
    root,
  );
}
