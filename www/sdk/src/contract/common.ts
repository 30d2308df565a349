// Values that every contract shape is made of.

/** Any JSON value. Opaque to the package: never renamed, never converted. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** String labels of a member, a mob or a run. */
export type Labels = Record<string, string>;

/** The name of a member: one path segment, at most 128 bytes (100 if none is ASCII), no white space, no `/`. */
export type AgentIdentity = string;

/** Milliseconds since the Unix epoch. */
export type TimestampMs = number;

/**
 * A position in a log. In objects that this package hands out it is a `bigint`; in the JSON of the
 * fetch contract it is a number, and beyond 2^53-1 a string of its digits. On the way in all of
 * them are taken; a number beyond 2^53-1 is refused, for it is not exact.
 */
export type CursorInput = bigint | number | string;

/** A position in a log as the fetch contract's JSON has it: from 2^53 on a string. */
export type CursorJson = number | string;

/** How new work meets a member that is at work: wait in line, or join the running turn. */
export type HandlingMode = "queue" | "steer";

/** One piece of a message. */
export type ContentBlock =
  | { type: "text"; text: string }
  | { type: "image"; media_type: string; data: string }
  | { type: "video"; media_type: string; data: string };

/** What a message consists of: plain text or blocks. */
export type ContentInput = string | ContentBlock[];

/** Tokens that a model call or a turn used. */
export interface Usage {
  input_tokens: number;
  output_tokens: number;
  cache_creation_tokens?: number;
  cache_read_tokens?: number;
}
