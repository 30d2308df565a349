import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { isMobkitError, type MobkitError } from "../src/error.js";
import { definitionFromToml } from "../src/toml.js";

test("a definition is read as its JSON form", () => {
  const definition = definitionFromToml(`
    [mob]
    id = "m"
    [profiles.lead]
    model = "demo"
    provider_params = { temperature = 0.5, since = 1979-05-27T07:32:00Z }
    [[members]]
    profile = "lead"
    identity = "lead"
  `);
  assert.deepEqual(JSON.parse(JSON.stringify(definition)), {
    mob: { id: "m" },
    profiles: { lead: { model: "demo", provider_params: { temperature: 0.5, since: "1979-05-27T07:32:00.000Z" } } },
    members: [{ profile: "lead", identity: "lead" }],
  });
});

test("the demo's definition is TOML", () => {
  const demo = readFileSync(new URL("../../../console/public/demo.toml", import.meta.url), "utf8");
  assert.ok(definitionFromToml(demo).profiles);
});

test("a mistake is told by line and column, as the crate tells it", () => {
  for (const [text, place] of [["[mob\nid = 'x'", "line 1, column 5"], ["a = 1\nb = é", "line 2, column 5"], ["a = 1\na = 2", "line 2, column 1"]] as const) {
    assert.throws(() => definitionFromToml(text), (error: unknown) => {
      assert.ok(isMobkitError(error, "invalid_definition"));
      const { issues } = (error as MobkitError).data as { issues: { path: string; message: string }[] };
      assert.equal(issues.length, 1);
      assert.ok(issues[0]?.message.startsWith(`not valid TOML: ${place}: `), `${text}: ${issues[0]?.message}`);
      assert.doesNotMatch(issues[0]?.message ?? "", /\n|Invalid TOML/);
      return true;
    });
  }
});
