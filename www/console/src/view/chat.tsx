// The conversation with one member: what was said, tool calls folded in, Stop, and the composer.

import { useSignal } from "@preact/signals";
import { memo } from "preact/compat";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { App, MemberRow } from "../app.ts";
import { type ConsoleError, toConsoleError } from "../client.ts";
import type { ChatItem, ChatState, NoticeItem, SpeechItem, ToolItem } from "../store/chat.ts";
import { oneLine } from "../store/feed.ts";
import { shownLabels } from "../store/labels.ts";
import { Avatar, count, Icon, pretty, StateBadge, Time } from "./common.tsx";
import { ErrorText } from "./error.tsx";
import { LabelList } from "./labels.tsx";
import { Markdown } from "./markdown.tsx";
import { MemberMenu } from "./member-actions.tsx";

/** Items rendered at first, and more at each request. */
const WINDOW = 120;

export function Chat({ app }: { app: App }) {
  app.chatVersion.value;
  const identity = app.selected.value;
  const row = app.rows.value.find((entry) => entry.identity === identity);
  if (identity === undefined) {
    return (
      <section class="chat" data-testid="chat-inspector" aria-label="Chat">
        <p class="empty big">{app.rows.value.length > 0 ? "Choose a member to talk to." : app.caughtUp.value ? "Add a member to talk to." : "Reading what is stored…"}</p>
      </section>
    );
  }
  const chat = app.chat(identity);
  return (
    <section class="chat" data-testid="chat-inspector" data-identity={identity} aria-label={`Chat with ${row?.displayName ?? identity}`}>
      <ChatHead app={app} chat={chat} row={row} />
      <Events key={identity} app={app} chat={chat} />
      <Composer key={`composer ${identity}`} app={app} chat={chat} row={row} />
    </section>
  );
}

function ChatHead({ app, chat, row }: { app: App; chat: ChatState; row: MemberRow | undefined }) {
  const input = chat.tokens.input + chat.turnUsage.input;
  const output = chat.tokens.output + chat.turnUsage.output;
  return (
    <header class="chat-top">
      <div class="chat-head">
        <Avatar name={chat.identity} role={row?.role ?? ""} />
        <div class="chat-title">
          <h2>{row?.displayName ?? chat.identity}</h2>
          <p class="quiet">
            {row ? row.role : "no longer in the mob"}
            {row && (app.servedBy.value !== undefined ? ` · ${app.servedBy.value}` : row.model !== undefined && ` · model ${row.model}`)}
            {row !== undefined && row.generation > 0 && ` · generation ${row.generation}`}
          </p>
        </div>
        {row && <StateBadge state={row.state} />}
        <span class="spacer" />
        {input + output > 0 && (
          <span class="tokens" data-testid="chat-tokens" title={`${count(input)} tokens read, ${count(output)} written`}>
            {count(input)} <span aria-label="in">↑</span> {count(output)} <span aria-label="out">↓</span> tokens
          </span>
        )}
        {row && <MemberMenu app={app} row={row} />}
      </div>
      {row && <LabelList labels={shownLabels(row.labels)} label={`Labels of ${row.displayName}`} testId="member-labels" />}
    </header>
  );
}

function Events({ app, chat }: { app: App; chat: ChatState }) {
  const box = useRef<HTMLDivElement>(null);
  const stick = useRef(true);
  const shown = useSignal(WINDOW);
  const away = useSignal(false);
  const version = app.chatVersion.value;
  const items = chat.items.length > shown.value ? chat.items.slice(-shown.value) : chat.items;
  const partial = app.isPartial(chat.identity);
  /** Distance from the end to keep when earlier items come in above. */
  const keep = useRef<number | undefined>(undefined);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    if (keep.current !== undefined) {
      element.scrollTop = element.scrollHeight - keep.current;
      keep.current = undefined;
    } else if (stick.current) {
      element.scrollTop = element.scrollHeight;
    }
  }, [version, chat, shown.value, app.view.value]);

  // What stands below grows and shrinks: the end stays in sight.
  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => {
      if (stick.current) element.scrollTop = element.scrollHeight;
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const holdPlace = (): void => {
    const element = box.current;
    if (element) keep.current = element.scrollHeight - element.scrollTop;
  };
  const onScroll = (): void => {
    const element = box.current;
    if (!element) return;
    stick.current = element.scrollHeight - element.scrollTop - element.clientHeight < 60;
    away.value = !stick.current;
  };

  return (
    <div class="events-box">
      <div class="events" data-testid="chat-events" role="log" aria-live="off" aria-label="Messages" tabIndex={0} ref={box} onScroll={onScroll}>
        {chat.items.length > items.length && (
          <button type="button" class="older" onClick={() => {
              holdPlace();
              shown.value += WINDOW;
            }}>
            Show earlier ({chat.items.length - items.length})
          </button>
        )}
        {chat.items.length === items.length && partial && (
          <button type="button" class="older" onClick={() => {
              holdPlace();
              void app.attempt(`Reading the history of ${chat.identity}`, () => app.loadWholeHistory(chat.identity));
            }}>
            Read the history before this
          </button>
        )}
        {chat.items.length === 0 && <Welcome app={app} chat={chat} />}
        {items.map((item) => (
          <Item key={`${item.kind}${item.key}`} app={app} item={item} identity={chat.identity} {...fingerprint(item)} />
        ))}
        {chat.run && chat.items.at(-1)?.kind !== "assistant" && (
          <p class="working" aria-hidden="true">
            <span />
            <span />
            <span />
          </p>
        )}
      </div>
      {away.value && (
        <button
          type="button"
          class="to-end"
          aria-label="To the newest message"
          onClick={() => {
            stick.current = true;
            away.value = false;
            box.current?.scrollTo({ top: box.current.scrollHeight });
          }}
        >
          <Icon name="down" />
        </button>
      )}
      <Announcer chat={chat} />
    </div>
  );
}

/** Says finished messages to screen readers, once each; the stream itself would only stammer. */
function Announcer({ chat }: { chat: ChatState }) {
  const last = chat.items.at(-1);
  const text = chat.run ? "" : last?.kind === "assistant" || (last?.kind === "notice" && last.tone === "error") ? last.text : "";
  return (
    <p class="visually-hidden" role="status">
      {text.slice(0, 500)}
    </p>
  );
}

/** Items change in place; these are the fields whose change must show. */
function fingerprint(item: ChatItem): { mark: string } {
  switch (item.kind) {
    case "assistant":
    case "reasoning":
      return { mark: `${item.open}${item.text.length}` };
    case "tool":
      return { mark: `${item.status}${item.result.length}${item.durationMs ?? ""}` };
    case "user":
    case "peer":
      return { mark: String(item.queued) };
    default:
      return { mark: "" };
  }
}

const Item = memo(
  ({ app, item, identity }: { app: App; item: ChatItem; identity: string; mark: string }) => {
    switch (item.kind) {
      case "user":
        return (
          <article class="bubble from-user" data-kind="user" aria-label={item.origin === "spawn" ? "First message" : "You"}>
            {item.origin === "spawn" && <header>First message</header>}
            <div class="body plain-text">{item.text}</div>
            <footer>
              {item.queued && <span class="queued">waits for its turn · </span>}
              <Time at={item.at} />
            </footer>
          </article>
        );
      case "peer":
        return (
          <article class="bubble from-peer" data-kind="peer" aria-label={item.from === undefined ? "Instruction" : `Message from ${app.person(item.from).name}`}>
            <header>
              {item.from === undefined ? (
                "Instruction"
              ) : (
                <>
                  <Avatar name={item.from} role={app.person(item.from).role} size="sm" /> {app.person(item.from).name} <span class="quiet">to {app.person(identity).name}</span>
                </>
              )}
            </header>
            <div class="body">
              <Markdown text={item.text} />
            </div>
            <footer>
              {item.queued && <span class="queued">waits for its turn · </span>}
              <Time at={item.at} />
            </footer>
          </article>
        );
      case "assistant":
        return <Speech item={item} identity={identity} />;
      case "reasoning":
        return <Thought item={item} />;
      case "tool":
        return <ToolCall app={app} item={item} />;
      case "notice":
        return <Notice item={item} />;
    }
  },
  (before, after) => before.item === after.item && before.mark === after.mark,
);

function Speech({ item, identity }: { item: SpeechItem; identity: string }) {
  return (
    <article class="speech" data-kind="assistant" data-open={item.open} aria-label={identity} aria-busy={item.open}>
      <Markdown text={item.text} streaming={item.open} />
      {!item.open && (
        <footer>
          <Time at={item.at} />
        </footer>
      )}
    </article>
  );
}

function Thought({ item }: { item: SpeechItem }) {
  return (
    <details class="fold thought" data-kind="reasoning">
      <summary>
        <Icon name="thought" />
        <span class={item.open ? "shimmer" : ""}>{item.open ? "Thinking" : "Thought"}</span>
        <span class="fold-line">{item.text.slice(-160).replace(/\s+/g, " ")}</span>
      </summary>
      <div class="fold-body plain-text">{item.text}</div>
    </details>
  );
}

const TOOL_WORDS: Record<ToolItem["status"], string> = { requested: "waits", running: "runs", done: "done", failed: "failed", timed_out: "timed out", interrupted: "interrupted" };

function ToolCall({ app, item }: { app: App; item: ToolItem }) {
  const args = item.args as Record<string, unknown>;
  const message = item.name === "send_message" && typeof args["to"] === "string";
  const line = message ? String(args["content"] ?? "") : Object.keys(args ?? {}).length > 0 ? JSON.stringify(args) : "";
  const bad = item.status === "failed" || item.status === "timed_out" || item.status === "interrupted";
  return (
    <details class={`fold tool${bad ? " bad" : ""}`} data-kind="tool" data-tool={item.name} data-status={item.status}>
      <summary>
        <Icon name={message ? "arrow" : "tool"} />
        <span class="tool-name">{message ? `to ${app.person(String(args["to"])).name}` : item.name}</span>
        <span class="fold-line">{message ? oneLine(line, 200) : line.slice(0, 200).replace(/\s+/g, " ")}</span>
        <span class={`tool-status ${item.status === "running" || item.status === "requested" ? "shimmer" : ""}`}>
          {TOOL_WORDS[item.status]}
          {item.durationMs !== undefined && ` · ${item.durationMs < 1000 ? `${Math.round(item.durationMs)} ms` : `${(item.durationMs / 1000).toFixed(1)} s`}`}
        </span>
      </summary>
      <div class="fold-body">
        {message && <Markdown text={String(args["content"] ?? "")} />}
        {!message && (
          <>
            <h3>Arguments</h3>
            <pre tabIndex={0}>{pretty(item.args)}</pre>
          </>
        )}
        {item.result !== "" && (
          <>
            <h3>Result</h3>
            <pre tabIndex={0}>{item.result}</pre>
          </>
        )}
      </div>
    </details>
  );
}

function Notice({ item }: { item: NoticeItem }) {
  return (
    <p class={`notice tone-${item.tone}`} data-kind="notice" data-code={item.code}>
      {item.tone !== "info" && <Icon name="warn" />}
      {item.text}
    </p>
  );
}

const list = (names: string[]): string => (names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names[names.length - 1]}`);

const EXAMPLES = ["Compare tea and coffee for late-night work", "Plan a weekend in Lisbon for two", "Should a small team write its own database?"];

function Welcome({ app, chat }: { app: App; chat: ChatState }) {
  const row = app.rows.value.find((entry) => entry.identity === chat.identity);
  if (!row || !app.caughtUp.value) return null;
  const peers = row.wiredTo;
  return (
    <div class="welcome">
      <Avatar name={row.identity} role={row.role} />
      <h3>Say something to {row.displayName}</h3>
      <p>
        {peers.length > 0
          ? `It is wired to ${list(peers.slice(0, 4).map((peer) => app.person(peer).name))}${peers.length > 4 ? " and others" : ""}, and works with them on what you ask. `
          : "It works alone: it is wired to nobody. "}
        Everything is stored {app.host === undefined ? "in this browser" : `at ${app.host}`} and survives a reload.
      </p>
      {!app.readOnly.value && peers.length > 0 && (
        <ul>
          {EXAMPLES.map((text) => (
            <li key={text}>
              <button type="button" onClick={() => void app.attempt(`Sending to ${chat.identity}`, () => app.send(chat.identity, text))}>
                {text}
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Composer({ app, chat, row }: { app: App; chat: ChatState; row: MemberRow | undefined }) {
  const field = useRef<HTMLTextAreaElement>(null);
  const text = useSignal(app.messageDrafts.get(chat.identity) ?? "");
  const sending = useSignal(false);
  const steer = useSignal(false);
  const error = useSignal<ConsoleError | undefined>(undefined);
  const running = chat.run !== undefined || chat.openInteractions.size > 0;
  const disabled = app.readOnly.value || row === undefined || !row.addressable;
  // A server that is away is back soon: who is writing goes on writing.
  const away = app.host !== undefined && app.readOnly.value && row !== undefined && row.addressable;

  useLayoutEffect(() => {
    const element = field.current;
    if (!element) return;
    element.style.height = "auto";
    // On a narrow screen the chat may stand behind another tab, where nothing has a height.
    if (element.scrollHeight > 0) element.style.height = `${Math.min(element.scrollHeight, 220)}px`;
  }, [text.value]);
  useEffect(() => {
    // A phone would open its keyboard over the chat.
    if (matchMedia("(pointer: fine)").matches) field.current?.focus();
  }, []);

  const set = (value: string): void => {
    text.value = value;
    app.messageDrafts.set(chat.identity, value);
  };
  const submit = async (): Promise<void> => {
    const content = text.value.trim();
    if (content === "" || sending.value || disabled) return;
    sending.value = true;
    error.value = undefined;
    try {
      await app.send(chat.identity, content, steer.value && chat.run ? "steer" : "queue");
      set("");
    } catch (caught) {
      error.value = toConsoleError(caught);
    }
    sending.value = false;
    field.current?.focus();
  };

  return (
    <form
      class="composer"
      data-testid="chat-form"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      {error.value && <ErrorText error={error.value} what="Not sent" />}
      <div class="composer-box">
        <textarea
          ref={field}
          rows={1}
          aria-label={`Message to ${row?.displayName ?? chat.identity}`}
          placeholder={disabled && !away ? placeholder(app, row) : `Message ${row?.displayName ?? chat.identity}`}
          value={text.value}
          disabled={disabled && !away}
          onInput={(event) => set(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            void submit();
          }}
        />
        {running && !app.readOnly.value && (
          <button type="button" class="round stop" aria-label="Stop" title="Stop the work on this" data-testid="chat-stop" onClick={() => void app.attempt(`Stopping ${chat.identity}`, () => app.stopMember(chat.identity))}>
            <Icon name="stop" />
          </button>
        )}
        <button type="submit" class="round send" aria-label="Send" title="Send" disabled={disabled || sending.value || text.value.trim() === ""}>
          <Icon name="send" />
        </button>
      </div>
      <p class="composer-foot quiet">
        {chat.run !== undefined && !disabled ? (
          <label class="check">
            <input type="checkbox" checked={steer.value} onChange={(event) => (steer.value = event.currentTarget.checked)} />
            join the running turn <span class="hide-narrow">instead of waiting for its end</span>
          </label>
        ) : away ? (
          <span>Not connected to {app.host}: what you write stays here until it can be sent.</span>
        ) : (
          <span class="key-hints">
            <kbd>Enter</kbd> sends, <kbd>Shift</kbd>+<kbd>Enter</kbd> breaks the line
          </span>
        )}
      </p>
    </form>
  );
}

function placeholder(app: App, row: MemberRow | undefined): string {
  if (app.client.value.state === "follower") return "In use in another tab";
  if (app.readOnly.value) return "The runtime is not ready";
  if (!row) return "This member is no longer in the mob";
  return `${row.displayName} cannot be addressed`;
}
