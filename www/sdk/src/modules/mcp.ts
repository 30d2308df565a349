// `mobkit-web/mcp`: a remote MCP server as a module, over Streamable HTTP. Runs wherever there is a `fetch`.

import type { OAuthClientProvider } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { McpError, ToolListChangedNotificationSchema, type CallToolResult } from "@modelcontextprotocol/sdk/types.js";
import { CfWorkerJsonSchemaValidator } from "@modelcontextprotocol/sdk/validation/cfworker";
import { asModuleError, encodedTools, jsonOf, messageOf, moduleError, settled, type ModuleDriver, type ModuleTool, type StartableModule } from "./driver.js";
import { WatchedTransport } from "./mcp-transport.js";

/** Which server, and how it is reached. */
export interface McpModuleOptions {
  url: string | URL;
  /** Sent with every request. */
  headers?: Record<string, string>;
  /** In place of the global `fetch`. */
  fetch?: (url: string | URL, init?: RequestInit) => Promise<Response>;
  /** OAuth, as the MCP client has it. */
  authProvider?: OAuthClientProvider;
  /**
   * Whether to listen to what the server tells unasked: that it has other tools, and, by the end of that stream, that it is gone. Otherwise
   * both are known with the next call or start. A Durable Object that listens stays in memory. Default: yes.
   */
  listen?: boolean;
}

/** The runtime has a limit of its own for calls; this is the longest timer that there is. */
const NO_LIMIT_MS = 2 ** 31 - 1;
/** How long the server may take to be told that the session is over. */
const GOODBYE_MS = 2_000;
/** JSON-RPC's codes of a method or parameters that there are not; which of them means an unknown tool depends on the server. */
const NOT_FOUND_CODES = [-32601, -32602];

/** The tools of an MCP server. A connection or session that is lost ends this run of the module. */
export function mcpModule(options: McpModuleOptions): StartableModule {
  let url: URL;
  try {
    url = new URL(options.url);
  } catch {
    throw new TypeError(`url must be an absolute URL, not ${JSON.stringify(options.url)}`);
  }
  return { kind: "startable", start: () => connect(url, options) };
}

async function connect(url: URL, options: McpModuleOptions): Promise<ModuleDriver> {
  // Neither credentials nor what else may be secret is shown.
  const shown = url.origin + url.pathname;
  const [ended, end] = settled();
  const listeners = new Set<() => void>();
  let lost: string | undefined;
  let stopped = false;
  const call = options.fetch ?? ((input: string | URL, init?: RequestInit) => fetch(input, init));
  const transport = new WatchedTransport(url, {
    fetch: options.listen === false ? deaf(call) : call,
    ...(options.headers && { requestInit: { headers: options.headers } }),
    ...(options.authProvider && { authProvider: options.authProvider }),
  }, (reason) => {
    if (stopped || lost !== undefined) return;
    lost = `the connection to ${shown} is lost: ${reason}`;
    // Rejects what is in flight.
    void client.close();
    end(lost);
  }, () => {
    // Whether it is lost is known by the next request, which need not be a call's.
    if (!stopped && lost === undefined) client.ping().catch(() => {});
  });
  // The default validator makes code at run time, which workerd and pages with a content security policy refuse.
  const client = new Client({ name: "mobkit-web", version: "0.1.0" }, { jsonSchemaValidator: new CfWorkerJsonSchemaValidator() });
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
    for (const listener of listeners) listener();
  });
  try {
    await client.connect(transport as unknown as Transport);
  } catch (error) {
    stopped = true;
    throw moduleError("ConnectionFailed", `cannot connect to ${shown}: ${httpMessage(error)}`, error);
  }

  /** What a request failed with, under that name; the loss of the connection comes before all else. */
  const failure = (name: "ToolListFailed" | "ToolCallFailed", error: unknown): Error => {
    if (lost !== undefined) return moduleError("ConnectionFailed", lost, error);
    return asModuleError(name, error instanceof McpError ? error : moduleError(name, httpMessage(error), error));
  };

  return {
    ended,
    changed: (listener) => { listeners.add(listener); },
    tools: async () => {
      const tools: ModuleTool[] = [];
      try {
        let cursor: string | undefined;
        const seen = new Set<string>();
        do {
          const page = await client.listTools(cursor === undefined ? undefined : { cursor });
          tools.push(...page.tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema: inputSchema as ModuleTool["inputSchema"] })));
          cursor = page.nextCursor;
          if (cursor !== undefined && seen.has(cursor)) throw new Error(`the server gave the cursor ${cursor} twice`);
          if (cursor !== undefined) seen.add(cursor);
        } while (cursor !== undefined);
      } catch (error) {
        throw failure("ToolListFailed", error);
      }
      return encodedTools(tools);
    },
    call: async (name, args, _, signal) => {
      let result: CallToolResult;
      try {
        const params = { name, arguments: JSON.parse(args) as Record<string, unknown> };
        result = await client.callTool(params, undefined, { timeout: NO_LIMIT_MS, ...(signal && { signal }) }) as CallToolResult;
      } catch (error) {
        if (error instanceof McpError && NOT_FOUND_CODES.includes(error.code) && isUnknownTool(error.message)) throw moduleError("ToolNotFound", error.message, error);
        throw failure("ToolCallFailed", error);
      }
      return jsonOf(valueOf(result), `the result of the tool ${name}`);
    },
    stop: async () => {
      stopped = true;
      if (lost !== undefined) return;
      let timer: ReturnType<typeof setTimeout> | undefined;
      try {
        const tooLate = new Promise<never>((_, reject) => {
          timer = setTimeout(() => reject(new Error(`no answer within ${GOODBYE_MS} ms`)), GOODBYE_MS);
        });
        await Promise.race([transport.terminateSession(), tooLate]);
      } catch (error) {
        throw moduleError("CloseFailed", `the session with ${shown} was left, not ended: ${httpMessage(error)}`, error);
      } finally {
        clearTimeout(timer);
        await client.close();
      }
    },
  };
}

/** Answers the client's offer to listen as a server that tells nothing unasked. An answer that broke off is still taken up again. */
function deaf(call: NonNullable<McpModuleOptions["fetch"]>): NonNullable<McpModuleOptions["fetch"]> {
  return async (url, init) => {
    const listens = init?.method === "GET" && !new Headers(init.headers).has("last-event-id");
    return listens ? new Response(null, { status: 405 }) : await call(url, init);
  };
}

/** What a tool gave: structured content first, else text, else its content as it is. */
function valueOf({ content, structuredContent, isError }: CallToolResult): unknown {
  const texts = content.flatMap((block) => block.type === "text" ? [block.text] : []);
  if (isError) {
    const text = texts.join("\n") || "the tool failed and says no more";
    throw moduleError(/^MCP error -3260[12]:/.test(text) && isUnknownTool(text) ? "ToolNotFound" : "ToolCallFailed", text);
  }
  if (structuredContent !== undefined) return structuredContent;
  return texts.length === content.length ? texts.join("\n") : content;
}

/** Servers have no code of their own for it. */
function isUnknownTool(message: string): boolean {
  return /unknown tool|tool .*not found/i.test(message);
}

/** The message, with the HTTP status if there is one. */
function httpMessage(error: unknown): string {
  const { code } = Object(error) as { code?: unknown };
  const message = messageOf(error);
  return typeof code === "number" && code >= 100 && code <= 599 ? `HTTP ${code}: ${message}` : message;
}
