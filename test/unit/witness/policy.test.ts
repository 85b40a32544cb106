/** C2SP tlog-policy: what is read, what is refused, and when a quorum is met. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  COSIGNATURE,
  ED25519,
  ML_DSA_44,
  type NoteKey,
  noteKey,
  writeVkey,
} from "#durable/proof/log/note.ts";
import { meetsQuorum, NO_QUORUM, type Policy, policyText, readPolicy } from "#durable/proof/log/policy.ts";
import { logSigner } from "#test/support/log-signer.ts";

const { keys } = await logSigner();
const key = (
  n: number,
  type: typeof COSIGNATURE | typeof ED25519 | typeof ML_DSA_44 = COSIGNATURE,
): NoteKey => noteKey(`w${n}.example`, type, new Uint8Array(type === ML_DSA_44 ? 1312 : 32).fill(n));
const vkey = (n: number): string => writeVkey(key(n));
const log = `log ${writeVkey(keys.ed25519)}\n`;

function read(text: string): Policy {
  const policy = readPolicy(text);
  if (typeof policy === "string") throw new Error(policy);
  return policy;
}

const by =
  (...cosigned: number[]) =>
  (witness: NoteKey): boolean =>
    cosigned.some((n) => witness.bytes[0] === n);

/** The example of the specification. */
const EXAMPLE = `# two organizations
${log}
witness X1 ${vkey(1)}
  witness X2\t${vkey(2)} https://x2.example/
witness X3 ${vkey(3)}
group X-witnesses 2 X1 X2 X3

witness Y1 ${vkey(4)}
witness Y2 ${vkey(5)}
witness Y3 ${vkey(6)}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
`;

test("the specification's example asks for two of one organization and one of the other", () => {
  const policy = read(EXAMPLE);
  expect([...policy.witnesses.keys()]).toEqual(["X1", "X2", "X3", "Y1", "Y2", "Y3"]);
  for (const met of [
    [1, 2, 4],
    [2, 3, 6],
    [1, 2, 3, 4, 5, 6],
  ])
    expect(meetsQuorum(policy, by(...met))).toBe(true);
  for (const unmet of [[], [1, 2], [1, 4, 5, 6], [1, 2, 3]])
    expect(meetsQuorum(policy, by(...unmet))).toBe(false);
});

test("without witnesses nothing is asked for, and that policy has the bytes it always had", () => {
  expect(policyText(keys, NO_QUORUM)).toBe(`${log}quorum none\n`);
  expect(meetsQuorum(read(policyText(keys, NO_QUORUM)), by())).toBe(true);
});

test("the policy of a node asks for as many of its witnesses as it was told, whatever their number", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.nat(), fc.nat(), (count, some, who) => {
      const witnesses = Array.from({ length: count }, (_, i) =>
        key(i + 1, i % 3 === 2 ? ML_DSA_44 : COSIGNATURE),
      );
      const threshold = (some % count) + 1;
      const policy = read(policyText(keys, { witnesses, threshold }));
      expect(policy.logs).toEqual([keys.ed25519]);
      const cosigned = witnesses.filter((_, i) => (who >> i) & 1);
      expect(meetsQuorum(policy, (each) => cosigned.some(({ id }) => id.join() === each.id.join()))).toBe(
        cosigned.length >= threshold,
      );
    }),
  );
});

describe("a policy is refused, with the line", () => {
  const w1 = `witness a ${vkey(1)}\n`;
  test.each([
    ["", "the last line"],
    [`${log}quorum none`, "the last line"],
    [log, "no quorum line"],
    ["quorum none\nquorum none\n", "line 2: a second quorum"],
    ["quorum a\n", "line 1: a is not defined before it"],
    ["quorum\n", "line 1: quorum NAME"],
    ["quorom none\n", "line 1: unknown keyword quorom"],
    ["quorum none\r\n", "control characters"],
    ["quorum none\u0000\n", "control characters"],
    [`${log}${log}quorum none\n`, "line 2: the same public key"],
    [`log ${vkey(1)}\nquorum none\n`, "a key of type 4"],
    [`witness a ${writeVkey(key(1, ED25519))}\nquorum none\n`, "a key of type 1"],
    [
      `${w1}witness b ${writeVkey(noteKey("other", COSIGNATURE, key(1).bytes))}\nquorum a\n`,
      "line 2: the same",
    ],
    [`${w1}witness a ${vkey(2)}\nquorum a\n`, "line 2: a is defined already"],
    [`witness none ${vkey(1)}\nquorum none\n`, "none is defined already"],
    [`witness a ${vkey(1).replace(/.$/, "A")}\nquorum a\n`, "line 1: "],
    [`witness a ${vkey(1)} https://a b\nquorum a\n`, "witness NAME VKEY [URL]"],
    [`${w1}group g 2 a\nquorum g\n`, "2 of 1 is no threshold"],
    [`${w1}group g 0 a\nquorum g\n`, "0 of 1 is no threshold"],
    [`${w1}group g 01 a\nquorum g\n`, "01 of 1 is no threshold"],
    [`${w1}group g all\nquorum g\n`, "group NAME"],
    [`${w1}group g all a a\nquorum g\n`, "a is in a group already"],
    [`${w1}group g all a\ngroup h all a\nquorum g\n`, "line 3: a is in a group already"],
    [`${w1}group g all g\nquorum g\n`, "g is not defined before it"],
    [`${w1}group g all none\nquorum g\n`, "none is not defined before it"],
    [`${w1}group a all a\nquorum a\n`, "a is defined already"],
  ])("%j: %s", (text, why) => expect(readPolicy(text)).toContain(why));

  test("that has more definitions than are ever read", () => {
    const lines = Array.from({ length: 300 }, (_, i) => `group g${i} all ${i === 0 ? "a" : `g${i - 1}`}\n`);
    expect(readPolicy(`${w1}${lines.join("")}quorum a\n`)).toContain("more than 256");
  });
});

test("no text makes the reader throw, and what it reads has a quorum that is defined", () => {
  const words = fc.constantFrom(
    "log",
    "witness",
    "group",
    "quorum",
    "none",
    "all",
    "any",
    "1",
    "a",
    "b",
    "#",
    "\t",
    " ",
  );
  const line = fc.array(fc.oneof(words, fc.constantFrom(vkey(1), vkey(2)), fc.string()), { maxLength: 6 });
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), (lines) => {
      const policy = readPolicy(`${lines.map((each) => each.join(" ")).join("\n")}\n`);
      if (typeof policy === "string") return;
      const { quorum, witnesses, groups } = policy;
      expect(quorum === "none" || witnesses.has(quorum) || groups.has(quorum)).toBe(true);
      expect(meetsQuorum(policy, () => true)).toBe(true);
    }),
  );
});
