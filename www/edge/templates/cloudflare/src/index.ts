// Mobs in Durable Objects, and the worker that routes to them. See README.md.

import { demoModel, openAiCompatible } from "mobkit-web";
import { mobObject, mobWorker, tokenAuthorizer, type Authorize, type MobContext } from "mobkit-web/cloudflare";
import { jwtAuthorizer } from "mobkit-web/jwt";
import wasm from "mobkit-web/mobkit_web_bg.wasm";
import definition from "../mob.toml";

export { MobDirectory } from "mobkit-web/cloudflare";

export interface Env {
  MOBS: DurableObjectNamespace;
  DIRECTORY: DurableObjectNamespace;
  /** A secret that clients send; or an identity provider, whose tokens they send. Without either nobody comes in. */
  MOB_TOKEN?: string;
  OIDC_ISSUER?: string;
  OIDC_AUDIENCE?: string;
  /** Sites whose pages may ask, with spaces between them. */
  CORS_ORIGINS?: string;
  /** A server with OpenAI-compatible chat completions; without it the demo answers, from a script. */
  MODEL_URL?: string;
  MODEL_API_KEY?: string;
}

export class Mob extends mobObject<Env>({
  wasm,
  definition,
  mobs: (env) => env.MOBS,
  configure(builder, { env }) {
    const { MODEL_URL: baseUrl, MODEL_API_KEY: apiKey } = env;
    return builder.defaultModel(baseUrl ? openAiCompatible({ baseUrl, ...(apiKey ? { apiKey } : {}) }) : demoModel());
  },
}) {}

function authorizer({ MOB_TOKEN, OIDC_ISSUER, OIDC_AUDIENCE }: Env): Authorize<MobContext<Env>> | undefined {
  if (OIDC_ISSUER && OIDC_AUDIENCE) return jwtAuthorizer({ issuer: OIDC_ISSUER, audience: OIDC_AUDIENCE });
  return MOB_TOKEN ? tokenAuthorizer(MOB_TOKEN) : undefined;
}

// Secrets are known with the first request only; keys of an identity provider are kept from then on.
const workers = new WeakMap<Env, ReturnType<typeof mobWorker<Env>>>();

export default {
  fetch(request, env) {
    let worker = workers.get(env);
    if (!worker) {
      worker = mobWorker<Env>({
        mobs: ({ MOBS }) => MOBS,
        directory: ({ DIRECTORY }) => DIRECTORY,
        authorize: authorizer(env),
        cors: { origins: env.CORS_ORIGINS?.split(" ").filter(Boolean) ?? [] },
      });
      workers.set(env, worker);
    }
    return worker.fetch(request, env);
  },
} satisfies ExportedHandler<Env>;
