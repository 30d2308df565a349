// A module that answers what it is told.

import type { ModuleObject } from "mobkit-web";

export const echo: ModuleObject = {
  listTools: () => [{ name: "say", description: "answers its arguments" }],
  callTool: (_, args) => args,
};
