// Mobs in a directory, as an application would have them; the environment says how.

import { demoModel, openAiCompatible } from "mobkit-web";
import { bearerToken, serveMobs, type Authorize } from "mobkit-web/deno";
import { caller, notes } from "./scripted.ts";

const env = (name: string): string | undefined => Deno.env.get(name) || undefined;
const modelUrl = env("MODEL_URL");
const token = env("TOKEN");
const authorize: Authorize = (request) => bearerToken(request) === token ? { subject: "test" } : { reason: "invalid_token" };
const stopping = new AbortController();
Deno.addSignalListener("SIGTERM", () => stopping.abort());

const server = serveMobs({
  directory: env("DIRECTORY") ?? "mobs",
  definition: env("DEFINITION") ?? "",
  messageMobs: true,
  configure(builder, { name }) {
    if (name.startsWith("talk-")) return builder.defaultModel(caller());
    if (name.startsWith("notes-")) {
      const tell = (what: string): void => console.log(`${name} ${what}`);
      tell("starts");
      return builder.defaultModel(caller(tell)).module("notes", notes(tell));
    }
    const model = modelUrl ? openAiCompatible({ baseUrl: modelUrl, apiKey: "k" }) : demoModel({ pace: 1 });
    // A hook that fails is no reason for the process to end.
    return builder.defaultModel(model).postSpawnHook(() => { if (env("FAILING_HOOK")) throw new Error("the test's hook fails"); });
  },
  ...(token === undefined ? {} : { authorize }),
  ...(env("IDLE_MS") === undefined ? {} : { closeIdleAfter: Number(env("IDLE_MS")) }),
  cors: { origins: ["https://console.example"] },
  maxBodyBytes: 100_000,
  hostname: "127.0.0.1",
  port: 0,
  signal: stopping.signal,
});
console.log(`listening on http://127.0.0.1:${server.port}`);
await server.finished;
console.log("finished");
