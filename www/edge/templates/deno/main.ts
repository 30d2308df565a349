// Mobs in SQLite files, served by this process. See README.md beside it.

import { demoModel, openAiCompatible } from "mobkit-web";
import { serveMobs, tokenAuthorizer } from "mobkit-web/deno";

const token = Deno.env.get("MOB_TOKEN");
if (!token) throw new Error("MOB_TOKEN is not set: it is the secret that clients have to send");

const modelUrl = Deno.env.get("MODEL_URL");
const apiKey = Deno.env.get("MODEL_API_KEY");
const model = modelUrl ? openAiCompatible({ baseUrl: modelUrl, ...(apiKey ? { apiKey } : {}) }) : demoModel();

const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  if (signal === "SIGINT" || Deno.build.os !== "windows") Deno.addSignalListener(signal, () => stopping.abort());
}

const server = serveMobs({
  directory: Deno.env.get("MOB_DIRECTORY") ?? "mobs",
  definition: await Deno.readTextFile(new URL("mob.toml", import.meta.url)),
  configure: (builder) => builder.defaultModel(model),
  authorize: tokenAuthorizer(token),
  hostname: "127.0.0.1",
  port: Number(Deno.env.get("PORT") ?? 8000),
  signal: stopping.signal,
});
console.log(`listening on http://${server.hostname}:${server.port}`);
await server.finished;
