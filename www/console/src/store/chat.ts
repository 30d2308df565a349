// A member's chat as a fold of the agent-event log: what was said, what was called, what it cost, what it does now.
// The log alone decides what the page shows, so a reload, a second tab and a live run all show the same.

import { type AgentEventPayload, contentText, type Gap, type PersistedEvent, type Usage } from "../wire.ts";

interface ItemBase {
  /** Cursor of the event that made the item: stable, unique within a chat. */
  key: number;
  at: number;
}

/** A person's message. `queued` until a run takes it. */
export interface UserItem extends ItemBase {
  kind: "user";
  text: string;
  origin: string;
  interactionId: string | undefined;
  workId: string | undefined;
  queued: boolean;
}
/** A peer's message, or the instruction a member was spawned with (`from` is undefined). */
export interface PeerItem extends ItemBase {
  kind: "peer";
  from: string | undefined;
  text: string;
  interactionId: string | undefined;
  workId: string | undefined;
  queued: boolean;
}
/** What the model said or thought. `open` while it still streams. */
export interface SpeechItem extends ItemBase {
  kind: "assistant" | "reasoning";
  text: string;
  open: boolean;
}
/** A tool call with what became of it. */
export interface ToolItem extends ItemBase {
  kind: "tool";
  callId: string;
  name: string;
  args: unknown;
  status: "requested" | "running" | "done" | "failed" | "timed_out" | "interrupted";
  result: string;
  durationMs: number | undefined;
}
/** Something that a reader should know: an error, a retry, a hole in the history. */
export interface NoticeItem extends ItemBase {
  kind: "notice";
  tone: "info" | "warn" | "error";
  code: string;
  text: string;
}
export type ChatItem = UserItem | PeerItem | SpeechItem | ToolItem | NoticeItem;

/** The run that a member is in. */
export interface OpenRun {
  interactionId: string | undefined;
  from: string | undefined;
  startedAt: number;
  /** Cursor of its `run_started`. */
  key: number;
}

/** Everything the page knows about one member's conversation. */
export interface ChatState {
  identity: string;
  cursor: number;
  generation: number;
  items: ChatItem[];
  /** What was streamed of the answer under way: its whole texts are still to come, or it will be given anew. */
  partial: SpeechItem[];
  run: OpenRun | undefined;
  /** The last run is over: what a cancelled stream still delivers after that is nobody's words any more. */
  ended: boolean;
  /** Set while work waits for a model that is not there. */
  waitingFor: { model: string; reason: string } | undefined;
  tokens: { input: number; output: number; runs: number };
  /** Usage of the turns of the open run, for runs that end without a total. */
  turnUsage: { input: number; output: number };
  lastError: string | undefined;
  /** The interactions of people that are not answered yet. */
  openInteractions: Set<string>;
}

/** A chat before its first event. */
export function emptyChat(identity: string): ChatState {
  return {
    identity,
    cursor: 0,
    generation: 0,
    items: [],
    partial: [],
    run: undefined,
    ended: false,
    waitingFor: undefined,
    tokens: { input: 0, output: 0, runs: 0 },
    turnUsage: { input: 0, output: 0 },
    lastError: undefined,
    openInteractions: new Set(),
  };
}

const str = (value: unknown): string => (typeof value === "string" ? value : value == null ? "" : JSON.stringify(value));

/** Applies one event of this member. Returns whether anything that shows has changed. */
export function foldChat(chat: ChatState, event: PersistedEvent): boolean {
  if (event.seq <= chat.cursor || event.event.kind !== "agent") return false;
  chat.cursor = event.seq;
  const generation = /:(\d+)$/.exec(event.event.agent_id);
  if (generation) chat.generation = Number(generation[1]);
  const payload: AgentEventPayload = event.event.payload ?? { type: event.event.event_type };
  return apply(chat, payload.type ?? event.event.event_type, payload, { key: event.seq, at: event.timestamp_ms });
}

/** Marks a hole that the log declares in the run that it cut; other chats lost nothing that shows. */
export function foldGap(chat: ChatState, gap: Gap, at: number): void {
  chat.cursor = Math.max(chat.cursor, gap.to);
  if (!chat.run) return;
  // Speech stays open: the failure that follows an unclean stop drops what will be said anew.
  chat.items.push({
    kind: "notice",
    key: gap.from,
    at,
    tone: "info",
    code: "gap",
    text: gap.reason === "retention" ? "Older events were discarded by retention." : "The page stopped uncleanly here; what was not stored yet is missing.",
  });
}

function apply(chat: ChatState, type: string, p: AgentEventPayload, base: ItemBase): boolean {
  switch (type) {
    case "user_input": {
      const interactionId = p.interaction_id;
      if (interactionId) chat.openInteractions.add(interactionId);
      chat.items.push({
        ...base,
        kind: "user",
        text: contentText(p["content"]),
        origin: str(p["origin"]) || "user",
        interactionId,
        workId: p.work_id,
        // What steers a running turn joins it at once and gets no run of its own.
        queued: p["handling_mode"] !== "steer" || chat.run === undefined,
      });
      return true;
    }
    case "peer_message":
      chat.items.push({ ...base, kind: "peer", from: str(p["from"]) || undefined, text: contentText(p["content"]), interactionId: p.interaction_id, workId: p.work_id, queued: true });
      return true;
    case "run_started":
      return runStarted(chat, p, base);
    case "turn_started":
      return false;
    case "text_delta":
      return !chat.ended && speak(chat, "assistant", str(p["delta"]), base);
    case "reasoning_delta":
      return !chat.ended && speak(chat, "reasoning", str(p["delta"]), base);
    case "text_complete":
      return !chat.ended && complete(chat, "assistant", str(p["content"]), base);
    case "reasoning_complete":
      return !chat.ended && complete(chat, "reasoning", str(p["content"]), base);
    case "tool_call_requested":
      endSpeech(chat);
      chat.items.push({
        ...base,
        kind: "tool",
        callId: str(p["id"]),
        name: str(p["name"]),
        args: p["args"] ?? {},
        status: "requested",
        result: "",
        durationMs: undefined,
      });
      return true;
    case "tool_execution_started": {
      const tool = findTool(chat, p);
      if (tool) tool.status = "running";
      return tool !== undefined;
    }
    case "tool_execution_completed": {
      const tool = findTool(chat, p);
      if (!tool) return false;
      tool.status = p["is_error"] ? "failed" : "done";
      tool.durationMs = typeof p["duration_ms"] === "number" ? p["duration_ms"] : undefined;
      tool.result = contentText(p["content"]) || str(p["result"]);
      return true;
    }
    case "tool_execution_timed_out": {
      const tool = findTool(chat, p);
      if (!tool) return false;
      tool.status = "timed_out";
      tool.result = `No answer within ${str(p["timeout_ms"])} ms`;
      return true;
    }
    case "tool_result_received": {
      const tool = findTool(chat, p);
      if (!tool) return false;
      if (tool.status !== "timed_out") tool.status = p["is_error"] ? "failed" : "done";
      const text = contentText(p["content"]);
      if (text) tool.result = text;
      return true;
    }
    case "turn_completed": {
      const usage = p["usage"] as Partial<Usage> | undefined;
      chat.turnUsage.input += usage?.input_tokens ?? 0;
      chat.turnUsage.output += usage?.output_tokens ?? 0;
      keepPartial(chat);
      const stop = str(p["stop_reason"]);
      if (stop === "max_tokens") return notice(chat, base, "warn", stop, "The model stopped at its limit of output tokens.");
      if (stop === "content_filter") return notice(chat, base, "warn", stop, "The provider's content filter stopped the answer.");
      return true;
    }
    case "run_completed":
      return runCompleted(chat, p, base);
    case "run_failed":
      return runFailed(chat, p, base);
    case "interaction_complete":
      settle(chat, p.interaction_id);
      return true;
    case "interaction_failed": {
      settle(chat, p.interaction_id);
      // The failure of the run that is being ended with it follows and says the same.
      if (chat.run && chat.run.interactionId === p.interaction_id) return true;
      const text = str(p["error"]) || str(p["reason"]) || "The interaction failed.";
      if (sayingLast(chat, text)) return true;
      return text === "cancelled" ? notice(chat, base, "info", "cancelled", "Stopped.") : notice(chat, base, "error", "interaction_failed", text);
    }
    case "retrying":
      dropPartial(chat);
      dropRetry(chat);
      return notice(chat, base, "warn", "retrying", `Tries again in ${formatDelay(p["delay_ms"])} (${str(p["attempt"])} of ${str(p["max_attempts"])}): ${str(p["error"])}`);
    case "stream_truncated":
      dropPartial(chat);
      return notice(chat, base, "warn", "stream_truncated", `The model's stream broke off${p["reason"] ? `: ${str(p["reason"])}` : ""}. What it had said so far was dropped.`);
    case "history_truncated":
      return notice(
        chat,
        base,
        "info",
        "history_truncated",
        `${str(p["omitted_messages"])} older messages were left out so that the request fits the model; ${str(p["kept_messages"])} were sent.`,
      );
    case "model_unavailable": {
      const model = str(p["model"]);
      const reason = str(p["reason"]);
      const again = chat.waitingFor?.model === model;
      chat.waitingFor = { model, reason };
      return again || notice(chat, base, "warn", "model_unavailable", `Work waits for the model ${model}${reason ? `: ${reason}` : ""}.`);
    }
    case "budget_warning":
      return notice(chat, base, "warn", "budget_warning", `${str(p["percent"])} % of the ${str(p["budget_type"])} budget is used (${str(p["used"])} of ${str(p["limit"])}).`);
    case "compaction_completed":
      return notice(chat, base, "info", "compaction", `The history was summarised: ${str(p["messages_before"])} messages became ${str(p["messages_after"])}.`);
    case "compaction_failed":
      return notice(chat, base, "warn", "compaction_failed", `The history could not be summarised: ${str(p["error"])}`);
    default:
      return false;
  }
}

function runStarted(chat: ChatState, p: AgentEventPayload, base: ItemBase): boolean {
  keepPartial(chat);
  const from = typeof p["from"] === "string" ? p["from"] : undefined;
  const prompt = contentText(p["prompt"]);
  chat.run = { interactionId: p.interaction_id, from, startedAt: base.at, key: base.key };
  chat.ended = false;
  chat.waitingFor = undefined;
  chat.turnUsage = { input: 0, output: 0 };
  chat.lastError = undefined;
  const taken = chat.items.find((item) => isMessage(item) && isOf(item, p, from, prompt));
  if (taken && isMessage(taken)) taken.queued = false;
  else if (from === "user") chat.items.push({ ...base, kind: "user", text: prompt, origin: "user", interactionId: p.interaction_id, workId: p.work_id, queued: false });
  else if (prompt !== "") chat.items.push({ ...base, kind: "peer", from, text: prompt, interactionId: p.interaction_id, workId: p.work_id, queued: false });
  return true;
}

const isMessage = (item: ChatItem): item is UserItem | PeerItem => item.kind === "user" || item.kind === "peer";

/** Whether a run works on this message: by its work item, or by interaction and text where the log does not name one. */
function isOf(item: UserItem | PeerItem, p: AgentEventPayload, from: string | undefined, prompt: string): boolean {
  if (item.workId !== undefined && p.work_id !== undefined) return item.workId === p.work_id;
  if (item.kind === "user") return from === "user" && item.interactionId !== undefined && item.interactionId === p.interaction_id;
  return item.from === from && item.text === prompt;
}

/** An interaction has ended: nothing of it waits any more. Its last event is told at the asked member, its messages lie at others too. */
export function settle(chat: ChatState, interactionId: string | undefined): boolean {
  if (interactionId === undefined) return false;
  let changed = chat.openInteractions.delete(interactionId);
  for (const item of chat.items) {
    if (isMessage(item) && item.queued && item.interactionId === interactionId) {
      item.queued = false;
      changed = true;
    }
  }
  return changed;
}

function sayingLast(chat: ChatState, text: string): boolean {
  const last = chat.items.at(-1);
  return last?.kind === "notice" && last.text === text;
}

function runCompleted(chat: ChatState, p: AgentEventPayload, base: ItemBase): boolean {
  keepPartial(chat);
  const result = str(p["result"]);
  // A model without streaming, or a log that begins in mid-run: then the result is all there is of the answer.
  const run = chat.run;
  const said = chat.items.some((item) => item.kind === "assistant" && (run ? item.key > run.key : item.text.trim() === result.trim()));
  if (result !== "" && !said) chat.items.push({ ...base, kind: "assistant", text: result, open: false });
  countRun(chat, p["usage"] as Partial<Usage> | undefined);
  chat.run = undefined;
  chat.waitingFor = undefined;
  return true;
}

function runFailed(chat: ChatState, p: AgentEventPayload, base: ItemBase): boolean {
  const cause = str(p["terminal_cause_kind"]);
  // The turn is made again from the transcript, which does not hold a half-said sentence.
  if (cause === "interrupted") dropPartial(chat);
  keepPartial(chat);
  for (const item of chat.items) {
    if (item.kind === "tool" && (item.status === "requested" || item.status === "running")) item.status = "interrupted";
  }
  countRun(chat, p["usage"] as Partial<Usage> | undefined);
  chat.run = undefined;
  const errorClass = str(p["error_class"]);
  if (cause === "interrupted") {
    // Says it better than the gap that the same stop has left.
    const last = chat.items.at(-1);
    if (last?.kind === "notice" && last.code === "gap") chat.items.pop();
    return notice(chat, base, "info", "interrupted", "Interrupted by the end of the page; the work goes on from what is stored.");
  }
  if (errorClass === "cancelled" || cause === "cancelled") return notice(chat, base, "info", "cancelled", "Stopped.");
  const error = str(p["error"]) || "The run failed.";
  chat.lastError = error;
  dropRetry(chat);
  return sayingLast(chat, error) || notice(chat, base, "error", errorClass || "run_failed", error);
}

function countRun(chat: ChatState, usage: Partial<Usage> | undefined): void {
  // A run's own total may count its last turn only.
  const input = Math.max(usage?.input_tokens ?? 0, chat.turnUsage.input);
  const output = Math.max(usage?.output_tokens ?? 0, chat.turnUsage.output);
  chat.tokens.input += input;
  chat.tokens.output += output;
  chat.tokens.runs += 1;
  chat.ended = true;
  chat.turnUsage = { input: 0, output: 0 };
}

function openSpeech(chat: ChatState, kind: SpeechItem["kind"]): SpeechItem | undefined {
  const last = chat.items.at(-1);
  return last?.kind === kind && last.open ? last : undefined;
}

function speak(chat: ChatState, kind: SpeechItem["kind"], delta: string, base: ItemBase): boolean {
  if (delta === "") return false;
  const open = openSpeech(chat, kind);
  if (open) open.text += delta;
  else {
    endSpeech(chat);
    const item: SpeechItem = { ...base, kind, text: delta, open: true };
    chat.items.push(item);
    chat.partial.push(item);
  }
  return true;
}

/** The whole text of an answer, which comes when the answer is stored: after all of its pieces, of both kinds. */
function complete(chat: ChatState, kind: SpeechItem["kind"], content: string, base: ItemBase): boolean {
  const pieces = chat.partial.filter((item) => item.kind === kind);
  chat.partial = chat.partial.filter((item) => item.kind !== kind);
  for (const item of pieces) item.open = false;
  const [piece] = pieces;
  if (piece) {
    // Several are the same text with something between; one may lack pieces that an unclean stop took.
    if (pieces.length === 1) piece.text = content || piece.text;
    return true;
  }
  if (content === "") return false;
  endSpeech(chat);
  chat.items.push({ ...base, kind, text: content, open: false });
  return true;
}

/** Open speech is the last item, or stands before notices that came after it. */
function openIndex(chat: ChatState): number {
  for (let at = chat.items.length - 1; at >= 0; at--) {
    const item = chat.items[at];
    if (item?.kind === "notice") continue;
    return (item?.kind === "assistant" || item?.kind === "reasoning") && item.open ? at : -1;
  }
  return -1;
}

function endSpeech(chat: ChatState): void {
  const item = chat.items[openIndex(chat)];
  if (item?.kind === "assistant" || item?.kind === "reasoning") item.open = false;
}

/** Takes back what was said of an answer that will be given anew. */
function dropPartial(chat: ChatState): void {
  const dropped = new Set<ChatItem>(chat.partial);
  chat.partial = [];
  if (dropped.size > 0) chat.items = chat.items.filter((item) => !dropped.has(item));
}

/** A try that has ended is told by what comes after it: the next one, or the failure of all. */
function dropRetry(chat: ChatState): void {
  const last = chat.items.at(-1);
  if (last?.kind === "notice" && last.code === "retrying") chat.items.pop();
}

/** What was said stays as it is: nothing more will come of it. */
function keepPartial(chat: ChatState): void {
  endSpeech(chat);
  chat.partial = [];
}

function findTool(chat: ChatState, p: AgentEventPayload): ToolItem | undefined {
  const id = str(p["id"]);
  for (let at = chat.items.length - 1; at >= 0; at--) {
    const item = chat.items[at];
    if (item?.kind === "tool" && item.callId === id) return item;
  }
  return undefined;
}

function notice(chat: ChatState, base: ItemBase, tone: NoticeItem["tone"], code: string, text: string): boolean {
  chat.items.push({ ...base, kind: "notice", tone, code, text });
  return true;
}

function formatDelay(ms: unknown): string {
  const value = typeof ms === "number" ? ms : 0;
  return value < 1000 ? `${value} ms` : `${(value / 1000).toFixed(value < 10_000 ? 1 : 0)} s`;
}

/** What a member's row shows: membership first, then trouble, then what the log says it does. */
export function shownState(entry: { state?: string; status?: string; activity?: string } | undefined, chat: ChatState | undefined, held = false): string {
  const state = entry?.state?.toLowerCase();
  if (state === "retiring") return "retiring";
  if (entry?.activity === "broken" || entry?.status === "broken") return "broken";
  // Its run goes on, and does nothing until somebody has decided.
  if (held || entry?.activity === "waiting_approval") return "waiting_approval";
  if (chat?.run) return "running";
  if (chat?.waitingFor) return "waiting_model";
  if (entry?.activity === "waiting_model") return "waiting_model";
  // The log is ahead of the listing: a run that it saw ending is over.
  if (entry?.activity === "dormant" && !chat?.tokens.runs) return "dormant";
  return "idle";
}
