import { describe, expect, test } from "vitest";
import type { Known } from "#durable/format/catalogue/definition.ts";
import type { ConnectionName } from "#durable/format/ids.ts";
import type { Refusal } from "#durable/format/refusal.ts";
import { adapterContract, bytesOf, type Example, incomingOf, sound } from "#test/unit/adapter-contract.ts";
import { mcpAdapter } from "#workers/adapters/mcp/adapter.ts";
import { canonical } from "#workers/adapters/mcp/catalogue/definition.ts";
import type { JsonObject } from "#workers/wire/json/strict.ts";

const plain = { name: "tracker" as ConnectionName, kind: "mcp", bodies: "full" } as const;
const prefixed = { ...plain, prefix: "pay_" } as const;
const called = (body: string, headers: Record<string, string> = {}): Example => ({
  name: body.slice(0, 60),
  method: "POST",
  path: "/",
  query: "",
  headers: { "content-type": "application/json", ...headers },
  body: new Uint8Array(new TextEncoder().encode(body)),
});
const call = (name: string, given = "{}", headers: Record<string, string> = {}) =>
  called(
    `{"jsonrpc":"2.0", "id":7,"method":"tools/call","params":{ "arguments":${given},"name": ${JSON.stringify(name)} } }`,
    headers,
  );
const inspect = (example: Example, connection: typeof plain | typeof prefixed = plain) =>
  sound(mcpAdapter.inspect(incomingOf(example, connection)));
const definition = (tool: string, more: JsonObject) => ({ tool, ...canonical({ name: tool, ...more }) });
async function settled(known: Known | undefined, example = call("refund")) {
  const { defined } = await inspect(example);
  if (!defined) throw new Error("it depends on no definition");
  return defined.settle(known);
}

adapterContract(mcpAdapter, plain, [
  call("pay_refund", '{"a":1}'),
  called('{"jsonrpc":"2.0","id":1,"method":"tools/list"}'),
]);

describe("a prefixed tool", () => {
  test("is asked of its server by its own name, and every other byte is as it was", async () => {
    const given = '{ "name":"pay_x", "n": 1.0 }';
    const { body, operation, questions, frames, defined } = await inspect(
      call("pay_refund", given),
      prefixed,
    );
    expect(new TextDecoder().decode(await bytesOf(body))).toBe(
      `{"jsonrpc":"2.0", "id":7,"method":"tools/call","params":{ "arguments":${given},"name": "refund" } }`,
    );
    expect(operation).toMatchObject({ name: "refund", as: "pay_refund" });
    expect(questions[0]?.resource.id).toBe("tracker/refund");
    expect(frames).toMatchObject([{ messages: [{ name: "refund" }] }]);
    expect(defined?.tool).toBe("refund");
  });

  test.each([
    ["refund", "refund"],
    ["größe", "=?base64?Z3LDtsOfZQ==?="],
    ["=?base64?x", "=?base64?PT9iYXNlNjQ/eA==?="],
    [" x", "=?base64?IHg=?="],
  ])("%s is mirrored as %s", async (tool, mirrored) => {
    const encoded = `=?base64?${Buffer.from(`pay_${tool}`).toString("base64")}?=`;
    const headers = { "mcp-method": "tools/call", "mcp-name": encoded };
    const { outgoing } = await inspect(call(`pay_${tool}`, "{}", headers), prefixed);
    expect(outgoing.headers).toContainEqual(["mcp-name", mirrored]);
    expect(outgoing.headers).toContainEqual(["mcp-method", "tools/call"]);
  });

  test("is held to what the mirror says before it is renamed", async () => {
    await expect(inspect(call("pay_refund", "{}", { "mcp-name": "refund" }), prefixed)).rejects.toThrow(
      /Mcp-Name/,
    );
  });

  test.each(["refund", "pay_", "PAY_refund", "xpay_refund"])(
    "is not there as %s, and what was sent is kept",
    async (name) => {
      const flawed = await mcpAdapter.inspect(incomingOf(call(name), prefixed));
      expect(flawed).toMatchObject({ operation: { kind: "mcp.tools/call", name } });
      expect(Buffer.from(await bytesOf(flawed.body)).toString()).toContain(`"name": "${name}"`);
      const { flaw } = flawed as { readonly flaw: Refusal };
      const said = mcpAdapter.refuse(flaw, incomingOf(call(name), prefixed), flawed.operation);
      expect([said.status, await said.json()]).toMatchObject([200, { id: 7, error: { code: -32602 } }]);
    },
  );

  test("is the only thing that is: prompts and lists have no prefix", async () => {
    const prompt = called('{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"review"}}');
    expect((await inspect(prompt, prefixed)).operation).toMatchObject({ name: "review" });
  });
});

describe("a call of a tool", () => {
  test("that nobody was ever shown is not changed, and says nothing of itself", async () => {
    const { questions, operation, frames, accepts } = await settled(undefined);
    expect(questions[0]?.context).toEqual({ size: expect.any(Number), arguments: [], changed: false });
    expect([operation.changed, frames.length, accepts]).toEqual([undefined, 1, undefined]);
  });

  test("that is as it was pinned is asked about with what it says of itself", async () => {
    const pinned = definition("refund", { annotations: { destructiveHint: true, openWorldHint: false } });
    const { questions, content } = await settled({ pinned });
    expect(questions[0]?.context).toMatchObject({ changed: false, destructive: true, openWorld: false });
    expect(content).toBe((await inspect(call("refund"))).content);
  });

  test("that has changed is asked about by what was pinned, shows how, and is bound to that change", async () => {
    const pinned = definition("refund", { description: "old", annotations: { readOnlyHint: true } });
    const shown = definition("refund", { description: "new" });
    const changed = await settled({ pinned, shown });
    expect(changed.questions[0]?.context).toMatchObject({ changed: true, readOnly: true });
    expect(changed.operation).toMatchObject({ changed: true });
    expect(changed.frames[1]).toMatchObject({
      k: "definition",
      tool: "refund",
      pinned: pinned.digest,
      shown: shown.digest,
      patch: expect.stringContaining('+description: "new"'),
    });
    expect(changed.accepts).toEqual({ tool: "refund", digest: shown.digest });
    const again = await settled({ pinned, shown: definition("refund", { description: "newer" }) });
    const plainly = await settled({ pinned });
    expect(new Set([changed.content, again.content, plainly.content]).size).toBe(3);
    expect((await settled({ pinned, shown }, call("refund", "{ }"))).content).toBe(changed.content);
  });
});
