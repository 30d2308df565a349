// Mobs behind tokens of an identity provider, as an application would have them.

import wasm from "mobkit-web/mobkit_web_bg.wasm";
import { mobObject, mobWorker } from "mobkit-web/cloudflare";
import { jwtAuthorizer } from "mobkit-web/jwt";
import { demoModel } from "mobkit-web";
import definition from "../../console/public/demo.toml";

export { MobDirectory } from "mobkit-web/cloudflare";

interface Env {
  MOBS: any;
  DIRECTORY: any;
  ISSUER: string;
  /** With spaces between them. */
  ORIGINS: string;
}

export const Mob = mobObject<Env>({ wasm, definition, maxConcurrent: 16, configure: (builder) => builder.defaultModel(demoModel({ pace: 1 })) });

// Secrets and addresses are known with the first request only; a worker that is asked for another environment has another one.
const workers = new WeakMap<object, ReturnType<typeof mobWorker<Env>>>();

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    let worker = workers.get(env);
    if (!worker) {
      worker = mobWorker<Env>({
        mobs: ({ MOBS }) => MOBS,
        directory: ({ DIRECTORY }) => DIRECTORY,
        authorize: jwtAuthorizer({ issuer: env.ISSUER, audience: "mobs", emails: ["ann@example.org"], subjects: ["robot"] }),
        cors: { origins: env.ORIGINS.split(" ") },
        maxBodyBytes: 1000,
      });
      workers.set(env, worker);
    }
    return worker.fetch(request, env);
  },
};
