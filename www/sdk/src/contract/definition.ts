// The definition of a mob as an object (MobKit contract, section 18.4). TOML text says the same with `[mob]` around `id`.

import type { Json } from "./common.js";
import type { RuntimeMode } from "./member.js";

/** What the members of one role are. */
export interface Profile {
  /** The name of a model given to the builder. */
  model: string;
  skills?: string[];
  tools?: {
    builtins?: boolean; shell?: boolean; comms?: boolean; memory?: boolean; workgraph?: boolean; mob?: boolean;
    schedule?: boolean; image_generation?: boolean; mcp?: string[]; rust_bundles?: string[];
  };
  /** What peers are told about members of this role. */
  peer_description?: string;
  external_addressable?: boolean;
  backend?: "session" | "external";
  runtime_mode?: RuntimeMode;
  max_inline_peer_notifications?: number;
  output_schema?: Json;
  provider_params?: Json;
}

/** A mob: its profiles and how they are wired. */
export interface MobDefinition {
  id: string;
  orchestrator?: { profile: string };
  profiles: Record<string, Profile>;
  wiring?: { auto_wire_orchestrator?: boolean; role_wiring?: { a: string; b: string }[] };
  skills?: Record<string, { source?: "inline"; content: string } | { source?: "path"; path: string }>;
  backend?: { default: "session" | "external"; external?: { address_base: string } };
  flows?: Record<string, Json>;
  topology?: { mode: "advisory" | "strict"; rules: { from_role: string; to_role: string; allowed: boolean }[] };
  limits?: Record<string, number>;
  [field: string]: Json | undefined | object;
}
