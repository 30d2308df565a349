// Model output as sanitised Markdown. It is untrusted: raw HTML shows as text, nothing loads, nothing runs, nothing is styled by it.

import DOMPurify, { type Config } from "dompurify";
import { Marked } from "marked";
import { useLayoutEffect, useRef } from "preact/hooks";

const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escape = (text: string): string => text.replace(/[&<>"']/g, (character) => escapes[character] ?? character);

const marked = new Marked({
  gfm: true,
  breaks: true,
  async: false,
  renderer: {
    html: (token) => (token.type === "html" && (token as { block?: boolean }).block ? `<p>${escape(token.text.trim())}</p>` : escape(token.text)),
    // An image would tell its server that (and when) it was read, and may carry words out in its address.
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || href)}</a>`,
  },
});

const purifier = DOMPurify(window);
const CONFIG: Config & { RETURN_DOM_FRAGMENT: true } = {
  ALLOWED_TAGS: ["a", "b", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "li", "ol", "p", "pre", "s", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul"],
  ALLOWED_ATTR: ["href", "start", "align", "rel", "target"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

purifier.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName !== "A") return;
  if (!node.hasAttribute("href")) return;
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer nofollow");
});

/** Longer than this, a text that still streams shows plain: parsing it anew at every picture would cost more than it gives. */
const PLAIN_WHILE_STREAMING = 24_000;

export function renderMarkdown(text: string): DocumentFragment {
  return purifier.sanitize(marked.parse(text) as string, CONFIG);
}

export function Markdown({ text, streaming = false }: { text: string; streaming?: boolean }) {
  const ref = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return;
    if (streaming && text.length > PLAIN_WHILE_STREAMING) {
      const plain = document.createElement("pre");
      plain.className = "plain";
      plain.textContent = text;
      element.replaceChildren(plain);
      return;
    }
    element.replaceChildren(renderMarkdown(text));
    // A wide table or a long line of code scrolls by itself, and then the keyboard must reach it.
    for (const wide of element.querySelectorAll<HTMLElement>("pre, table")) wide.tabIndex = 0;
  }, [text, streaming && text.length > PLAIN_WHILE_STREAMING]);
  return <div ref={ref} class={`markdown${streaming ? " streaming" : ""}`} />;
}
