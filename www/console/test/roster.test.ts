// Edges and their owners, labels, the roster that ought to be, reports: as tables of cases.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseSpecs, planOf, specsOf, specsText } from "../src/store/desired.ts";
import { countOwners, edgeKey, ownersOf } from "../src/store/edges.ts";
import { labelFaults, labelsOfRows, rowsOfLabels, shownLabels } from "../src/store/labels.ts";
import { edgeLines, memberLines, reportOf } from "../src/store/report.ts";
import type { EdgesReport, MemberEntry } from "../src/wire.ts";

const member = (agent_identity: string, role: string, labels?: Record<string, string>, state = "active"): MemberEntry => ({ agent_identity, role, state, wired_to: [], ...(labels ? { labels } : {}) });

describe("edges", () => {
  test("have one name from both ends, and are counted by owner in the legend's order", () => {
    assert.equal(edgeKey("b", "a"), edgeKey("a", "b"));
    const owners = ownersOf([
      { a: "a", b: "b", owner: "hand" },
      { a: "a", b: "c", owner: "definition" },
      { a: "b", b: "c", owner: "hand" },
    ]);
    assert.equal(owners.get(edgeKey("c", "a")), "definition");
    assert.deepEqual(countOwners([["a", "b"], ["a", "c"], ["b", "c"], ["a", "new"]], owners), [["definition", 1], ["hand", 2]]);
  });
});

describe("labels", () => {
  test("become rows in order and a map again", () => {
    const rows = rowsOfLabels({ z: "1", a: "2" });
    assert.deepEqual(rows.map(({ key }) => key), ["a", "z"]);
    assert.deepEqual(labelsOfRows([...rows, { id: 9, key: " ", value: "" }]), { a: "2", z: "1" });
    assert.deepEqual(Object.keys(labelsOfRows([{ id: 0, key: "__proto__", value: "x" }])), ["__proto__"]);
  });
  test("a key twice and a value without a key are faults; an empty row is none", () => {
    const faults = labelFaults([
      { id: 0, key: "a", value: "1" },
      { id: 1, key: " a ", value: "2" },
      { id: 2, key: "", value: "3" },
      { id: 3, key: "", value: "" },
    ]);
    assert.deepEqual([...faults.keys()], [1, 2]);
  });
  test("a member's name is shown as its name only", () => {
    assert.deepEqual(shownLabels({ display_name: "Lead", team: "core" }), [["team", "core"]]);
  });
});

describe("the desired roster", () => {
  test("is written from the present members, and read back the same", () => {
    const specs = specsOf([member("lead", "lead", { display_name: 'The "lead":,"' }), member("w", "worker"), member("old", "worker", undefined, "retiring")]);
    assert.deepEqual(specs, [{ profile: "lead", identity: "lead", labels: { display_name: 'The "lead":,"' } }, { profile: "worker", identity: "w" }]);
    assert.equal(specsText([]), "[]");
    assert.equal(specsText(specs).split("\n").length, 4);
    assert.deepEqual(parseSpecs(specsText(specs)).specs, specs);
  });
  test("other names of the fields are taken, other fields go along", () => {
    assert.deepEqual(parseSpecs('[{"role":"worker","meerkat_id":"w","context":{"a":1}}]').specs, [{ profile: "worker", identity: "w", context: { a: 1 } }]);
  });
  const faulty: [string, RegExp][] = [
    ['[{"profile": "a"\n "identity": "b"}]', /not JSON.*line 2/],
    ["{}", /list of members/],
    ["[1]", /Member 1 is no object/],
    ['[{"identity":"a"}]', /Member 1 has no "profile"/],
    ['[{"profile":"a","identity":" "}]', /Member 1 has no "identity"/],
    ['[{"profile":"a","identity":"x"},{"profile":"b","identity":"x"}]', /Member 2 has the identity/],
  ];
  for (const [text, expected] of faulty) test(`says what is wrong: ${text}`, () => assert.match(parseSpecs(text).fault ?? "", expected));
  test("is held against who is there", () => {
    const members = new Map([member("lead", "lead", { team: "a" }), member("old", "worker"), member("gone", "worker", undefined, "retiring"), member("w", "worker")].map((entry) => [entry.agent_identity, entry]));
    const plan = planOf([{ profile: "lead", identity: "lead", labels: { team: "b" } }, { profile: "writer", identity: "w" }, { profile: "worker", identity: "new" }], members);
    assert.deepEqual(plan, { spawn: ["new"], retire: ["old"], retain: ["lead", "w"], unheeded: [{ identity: "lead", what: ["labels"] }, { identity: "w", what: ["profile"] }] });
  });
});

describe("a report", () => {
  const edges: EdgesReport = {
    wired_edges: [{ a: "a", b: "b" }],
    unwired_edges: [],
    retained_edges: [],
    preexisting_edges: [],
    skipped_missing_members: [{ a: "a", b: "ghost" }],
    pruned_stale_managed_edges: [],
    failures: [{ edge: { a: "b", b: "c" }, operation: "wire", error: "full" }],
  };
  test("has a line for each thing that happened, failures first", () => {
    const lines = memberLines({ mob: { retained: ["a"], spawned: [{ agent_identity: "b" }], retired: [], failures: [{ agent_identity: "x", stage: "spawn", error: "no profile" }] }, edges });
    assert.deepEqual(lines.map(({ key, items }) => [key, ...items]), [["failures", "x (spawn): no profile"], ["spawned", "b"], ["retained", "a"]]);
    assert.deepEqual(edgeLines(edges).map(({ key, items }) => [key, ...items]), [["edge-failures", "b – c (wire): full"], ["wired", "a – b"], ["skipped", "a – ghost"]]);
  });
  test("is found in the data of an error that carries one", () => {
    const mob = { retained: [], spawned: [], retired: [], failures: [] };
    assert.deepEqual(reportOf({ code: "partial_failure", mob, edges }), { mob, edges });
    for (const data of [undefined, null, "x", {}, { mob: {} }]) assert.equal(reportOf(data), undefined);
  });
});
