// What of the golden files cannot hold when a mob is evicted, without a word before, between any two steps. All else must.

import type { GoldenStep, Json, Scenario } from "./golden.ts";

interface Exception {
  scenario: string;
  steps: string[];
  /** Another answer than the golden one: the place in the response, and what is there. Without it the mob is not evicted before these steps. */
  instead?: { at: (string | number)[]; value: Json };
  why: string;
}

const EXCEPTIONS: Exception[] = [
  {
    scenario: "cancel",
    steps: ["the turn has begun", "cancel", "the second turn has begun", "cancel the turn of a member", "the third turn has begun", "cancel all"],
    why: "a call of the model hangs: it would be made anew, with a turn and events of its own, and those of the first try are a gap",
  },
  {
    scenario: "console",
    steps: ["identities and a field that is none"],
    instead: { at: ["json", "identities", 0, "health"], value: "dormant" },
    why: "who has worked is idle until the mob is evicted, and then dormant until there is work again",
  },
  {
    scenario: "messages",
    steps: ["member status after work"],
    instead: { at: ["json", "result", "activity"], value: "dormant" },
    why: "who has worked is idle until the mob is evicted, and then dormant until there is work again",
  },
  {
    scenario: "edges",
    steps: ["reconcile"],
    why: "a start wires what ought to be wired: there would be nothing left to reconcile",
  },
  {
    scenario: "reconcile",
    steps: ["reconcile with no profile", "reconcile without a list", "rediscover", "mobkit/reset_all takes no parameters", "list at the end"],
    why: "a start spawns who is discovered, and the steps look at a roster without them",
  },
  {
    scenario: "modules",
    steps: ["the modules", "status", "the modules at their route", "one module", "a module by an escaped name", "the experience"],
    why: "a start begins to start the modules, and does not wait for them: which of them run is known a moment later",
  },
  {
    scenario: "modules",
    steps: ["the member has called"],
    why: "a turn that is interrupted tells of more than one that is not, and the events' names have numbers",
  },
  {
    scenario: "modules",
    steps: [
      "the module was started anew", "start a module that there is not", "start a module without a name", "start a module as a member",
      "let these run and no others", "the others have ended", "let all run", "let one run that there is not", "let a number run",
      "let nothing run that is no list", "reconcile without a list", "reconcile and a parameter that is none", "all run once more",
      "end a module", "end it again", "call a tool of a module that has ended", "call it as a method", "the module that has ended",
      "a member calls a tool of a module that has ended", "the member has heard", "end a module that there is not", "end no module",
      "end a module and a parameter that is none", "let none run", "none runs",
    ],
    why: "the health of a module is that of this life of the host: a start starts all modules, with a health of their own",
  },
  {
    scenario: "delivery",
    steps: ["resolve without the router", "the router again, and no delivery", "resolve without delivery", "deliver without delivery"],
    why: "a start starts all modules, those that were ended too",
  },
  {
    scenario: "gating",
    steps: ["nobody can be told"],
    why: "a start starts all modules, those that were ended too",
  },
];

/** Whether the mob may be evicted before a step. */
export function mayEvict(scenario: string, step: string): boolean {
  return !EXCEPTIONS.some((one) => one.instead === undefined && one.scenario === scenario && one.steps.includes(step));
}

/** The scenario with the answers of a mob that is evicted between the steps. */
export function evictedScenario(scenario: Scenario): Scenario {
  const exceptions = EXCEPTIONS.filter((one) => one.scenario === scenario.name);
  const steps = structuredClone(scenario.steps);
  for (const { steps: names, instead } of exceptions) {
    for (const name of names) {
      const found = steps.filter((step) => step.name === name);
      if (found.length !== 1) throw new Error(`${scenario.name} has ${found.length} steps ${JSON.stringify(name)}`);
      if (instead) replace(found[0]!, instead);
    }
  }
  return { ...scenario, steps };
}

function replace({ name, response }: GoldenStep, { at, value }: NonNullable<Exception["instead"]>): void {
  const last = at.at(-1)!;
  const holder = at.slice(0, -1).reduce<any>((inside, key) => inside?.[key], response);
  if (holder?.[last] === undefined) throw new Error(`${JSON.stringify(name)} has nothing at ${at.join(".")}`);
  if (holder[last] === value) throw new Error(`${JSON.stringify(name)} says ${JSON.stringify(value)} at ${at.join(".")} already`);
  holder[last] = value;
}
