// Puts the page into the document.

import { render } from "preact";
import type { Session } from "./session.ts";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/panels.css";
import "./styles/mob.css";
import { Root } from "./view/root.tsx";

export function mount(session: Session, root: HTMLElement): void {
  root.replaceChildren();
  render(<Root session={session} />, root);
}
