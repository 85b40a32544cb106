/** What every adapter promises, whatever its protocol. Each kind's tests run it with requests of their own. */
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import type { Contained } from "#durable/format/frame.ts";
import type { Operation } from "#durable/format/operation.ts";
import { REFUSALS, Refusal, type RefusalCode } from "#durable/format/refusal.ts";
import type { Adapter, Flawed, Incoming, Inspected } from "#workers/adapters/adapter.ts";
import { Detectors } from "#workers/mask/detectors.ts";
import type { Body } from "#workers/wire/body.ts";

export type Example = {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer> | undefined;
};

/** Those that come with Steno; none of them hides anything by itself. */
export const detectors = new Detectors({ detectors: [], patterns: [], dictionaries: [] });

/** A request whose body comes in chunks of the given sizes, the last one as often as it takes. */
export function incomingOf(
  example: Example,
  connection: Incoming["connection"],
  sizes: readonly number[] = [1 << 20],
): Incoming {
  const { method, path, query, headers, body } = example;
  let at = 0;
  let turn = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      const size = sizes[Math.min(turn++, sizes.length - 1)] ?? 1;
      if (body === undefined || at >= body.byteLength) return controller.close();
      controller.enqueue(body.slice(at, at + size));
      at += size;
    },
  });
  const init = { method, headers, ...(body === undefined ? {} : { body: stream, duplex: "half" }) };
  return {
    request: new Request(`http://gateway${path}${query}`, init),
    connection,
    path,
    query,
    stallSeconds: 60,
    detectors,
  };
}

/** The inspected request, or the flaw that was found in it, thrown as the pipeline throws it. */
export async function sound<Op extends Operation, F extends Contained>(
  looked: Promise<Inspected<Op, F> | Flawed<Op>>,
): Promise<Inspected<Op, F>> {
  const inspected = await looked;
  if ("flaw" in inspected) throw inspected.flaw;
  return inspected;
}

/** What was understood: all but the body, and of what is to be done only what would be asked. */
function saying<Op extends Operation>({
  body: _,
  unread: __,
  hearing: ___,
  named: ____,
  defined: _____,
  unsettled,
  ...rest
}: Inspected<Op>): unknown {
  return { ...rest, look: unsettled?.look };
}

export async function bytesOf(body: Body): Promise<Uint8Array> {
  if (body.kind === "none") return new Uint8Array(0);
  if (body.kind === "spooled") throw new Error("no adapter spools by itself");
  if (body.kind === "whole") return body.bytes;
  const chunks: Uint8Array[] = [body.prefix];
  for await (const chunk of body.rest) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const CREDENTIALS = {
  authorization: "Bearer secret-token",
  "proxy-authorization": "Basic secret-token",
  cookie: "session=secret-token",
  "x-api-key": "secret-token",
  "x-goog-api-key": "secret-token",
  "steno-session": "ses_secret-token",
  "x-forwarded-user": "secret-token",
};

export function adapterContract<Op extends Operation>(
  adapter: Adapter<Op>,
  connection: Incoming["connection"],
  examples: readonly Example[],
): void {
  const inspect = (example: Example, sizes?: readonly number[]) =>
    sound(adapter.inspect(incomingOf(example, connection, sizes)));
  const withBody = examples.filter((example) => example.body !== undefined);

  test.each(examples.map((example) => [example.name, example] as const))(
    "%s: every byte of the body comes out",
    async (_, example) => {
      const { body } = await inspect(example);
      expect(Buffer.compare(await bytesOf(body), example.body ?? new Uint8Array(0))).toBe(0);
    },
  );

  test.each(withBody.map((example) => [example.name, example] as const))(
    "%s: however it is split, it means the same and every byte comes out",
    async (_, example) => {
      const expected = saying(await inspect(example));
      const longest = Math.max(1, example.body?.byteLength ?? 1);
      // Small first pieces, where the decoding is; the rest at once, so that a long body does not take a minute.
      const sizes = fc.array(fc.integer({ min: 1, max: Math.min(longest, 300) }), { maxLength: 20 });
      await fc.assert(
        fc.asyncProperty(sizes, async (pieces) => {
          const read = await inspect(example, [...pieces, longest]);
          expect(saying(read)).toEqual(expected);
          expect(Buffer.compare(await bytesOf(read.body), example.body ?? new Uint8Array(0))).toBe(0);
        }),
        { numRuns: 15 },
      );
    },
  );

  test.each(withBody.map((example) => [example.name, example] as const))(
    "%s: changed or cut anywhere, it is understood or refused, never a fault",
    async (_, example) => {
      const original = example.body ?? new Uint8Array(0);
      const reach = Math.min(original.byteLength, 4096);
      const change = fc.record({ at: fc.nat(reach - 1), byte: fc.nat(255) });
      await fc.assert(
        fc.asyncProperty(
          fc.array(change, { maxLength: 3 }),
          fc.option(fc.nat(reach)),
          async (changes, cut) => {
            const mutated = original.slice(0, cut ?? original.byteLength);
            for (const { at, byte } of changes) if (at < mutated.byteLength) mutated[at] = byte;
            const outcome = await inspect({ ...example, body: mutated }).catch((thrown: unknown) => thrown);
            expect(outcome instanceof Refusal || !(outcome instanceof Error)).toBe(true);
          },
        ),
        { numRuns: 150 },
      );
    },
  );

  test("inspecting never reaches the network", async () => {
    const fetched = vi.spyOn(globalThis, "fetch");
    for (const example of examples) await inspect(example);
    expect(fetched).not.toHaveBeenCalled();
    fetched.mockRestore();
  });

  test("neither what goes upstream nor what is recorded holds a credential of the agent's", async () => {
    for (const example of examples) {
      const { outgoing, operation, frames } = await inspect({
        ...example,
        headers: { ...example.headers, ...CREDENTIALS },
      });
      expect(JSON.stringify({ outgoing, operation, frames })).not.toContain("secret-token");
    }
  });

  test("every refusal can be said to every request, decoded or not, and shows nothing but its sentence", async () => {
    for (const example of examples) {
      const { operation } = await inspect(example);
      for (const code of Object.keys(REFUSALS) as RefusalCode[]) {
        const refusal = new Refusal(code, "A plain sentence.", { cause: new Error("an internal detail") });
        for (const known of [operation, { kind: "unknown" } as const]) {
          const text = await adapter.refuse(refusal, incomingOf(example, connection), known).text();
          expect(text).not.toContain("internal detail");
          expect(text).toContain(operation.kind === "unknown" ? "" : "A plain sentence.");
        }
      }
    }
  });
}
