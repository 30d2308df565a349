// The runtime's own module, as far as it is used here. Applications have the runtime's types for it.
declare module "cloudflare:workers" {
  export class DurableObject<Env = unknown> {
    protected ctx: unknown;
    protected env: Env;
    constructor(ctx: unknown, env: Env);
    fetch?(request: Request): Promise<Response> | Response;
    alarm?(): Promise<void> | void;
  }
}
