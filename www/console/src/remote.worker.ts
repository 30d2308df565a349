// The worker that carries requests to a remote mob's server. Its name makes it one: servers know workers' scripts by it.

import { serveRelay } from "./remote/relay.ts";

serveRelay(self);
