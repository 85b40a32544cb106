// The witness policy that the ledger publishes, and what the verifier makes of it.
import { describe, expect, test } from "vitest";
import { CHECKPOINT, WITNESS_POLICIES, WITNESS_POLICY } from "#durable/format/layout.ts";
import { utf8 } from "#durable/proof/bytes.ts";
import { NO_QUORUM, policyText, readPolicy } from "#durable/proof/log/policy.ts";
import { verifyArchive } from "#durable/proof/verify/archive.ts";
import { logSigner } from "#test/support/log-signer.ts";
import { failure } from "./live-session.ts";
import { archive, witnesses } from "./main.ts";
import {
  append,
  findings,
  forget,
  keys,
  ledger,
  one,
  published,
  stored,
  two,
  withWitnesses,
} from "./witnessed-ledger.ts";

withWitnesses();

describe("the policy in the archive", () => {
  const policies = () => keys(WITNESS_POLICIES).map((key) => readPolicy(stored(key)));

  test("is there before the first checkpoint that is made under it, and names the witnesses and the quorum", async () => {
    await published(1);
    const tried = archive.tried.map((key) =>
      key.replace(/^(trust\/witness-policies|log\/checkpoints)\/.*/, "$1"),
    );
    expect(tried.indexOf("trust/witness-policies")).toBeLessThan(tried.indexOf(CHECKPOINT));
    const [policy] = policies();
    expect(policy).toMatchObject({
      quorum: "witnesses",
      groups: new Map([["witnesses", { threshold: 2, members: ["w0", "w1"] }]]),
    });
    await published(1);
    expect(keys(WITNESS_POLICIES)).toHaveLength(1);
  });

  test("changes with the configuration: the old one stays, and older checkpoints are held against it", async () => {
    witnesses.all = [];
    witnesses.threshold = 0;
    await published(1);
    expect(stored(WITNESS_POLICY)).toBe(policyText((await logSigner()).keys, NO_QUORUM));
    witnesses.all = [one.client, two.client];
    witnesses.threshold = 2;
    await published(1);
    witnesses.all = [two.client];
    witnesses.threshold = 1;
    await published(1);
    expect(keys(WITNESS_POLICIES).map((key) => /(\d+)-\d+-/.exec(key)?.[1])).toEqual(["1", "2", "3"]);
    expect(stored(WITNESS_POLICY)).toBe(stored(keys(WITNESS_POLICIES).at(-1) ?? ""));
    expect(await findings()).toEqual([]);
  });

  for (const how of ["not kept", "kept"] as const)
    for (const step of ["trust/witness-policies/", "trust/witness-policy$"])
      test(`of which a put is ${how} (${step}), and the configuration changes before the next try: one policy a checkpoint`, async () => {
        archive.faults.push({ key: new RegExp(`^${step}`), how, times: 1 });
        await append(1);
        expect(await failure(() => ledger().publish())).not.toBe("");
        witnesses.all = [one.client];
        witnesses.threshold = 1;
        await forget();
        await ledger().publish();
        await published(1);
        expect(keys(WITNESS_POLICIES).map((key) => /(\d+)-\d+-/.exec(key)?.[1])).toEqual(["1", "2"]);
        // The first was asked for under the policy of two, of whom one is not in the configuration any more.
        const [first] = keys("log/checkpoints/1-");
        expect(await findings()).toEqual([`checkpoint_uncosigned ${first}`]);
      });

  test("that an auditor holds is what the newest checkpoint must satisfy, whatever the archive's own says", async () => {
    const { keys: logKeys } = await logSigner();
    const policy = readPolicy(policyText(logKeys, { witnesses: [one.key, two.key], threshold: 2 }));
    if (typeof policy === "string") throw new Error(policy);
    const held = async () =>
      (await verifyArchive(archive, { now: Date.now(), policy })).findings
        .filter(({ code }) => code === "checkpoint_uncosigned")
        .map(({ object, message }) => `${object}: ${message}`);
    witnesses.all = [one.client, two.client];
    await published(1);
    expect(await held()).toEqual([]);
    witnesses.all = [one.client];
    witnesses.threshold = 1;
    await published(1);
    const [earlier] = keys("log/checkpoints/1-");
    expect(await held()).toEqual([
      `${CHECKPOINT}: it lacks the quorum of the auditor's policy; ${earlier} does, of 1 entries`,
    ]);
    expect(await findings()).toEqual([]);
  });

  test("bent, cut, of another log or under another name is found; so is a forged cosignature", async () => {
    await published(1);
    const [name = ""] = keys(WITNESS_POLICIES);
    const good = new Map(archive.objects);
    const put = (key: string, text: string) => archive.objects.set(key, utf8(text));
    const bad: [() => void, string][] = [
      [() => put(name, stored(name).replace("witnesses 2", "witnesses 1")), `policy_malformed ${name}`],
      [() => put(`${WITNESS_POLICIES}x`, ""), `object_unknown ${WITNESS_POLICIES}x`],
      [() => put(WITNESS_POLICY, "quorum none\n"), `policy_malformed ${WITNESS_POLICY}`],
      [() => archive.objects.delete(name), `policy_malformed ${WITNESS_POLICY}`],
      [() => archive.objects.delete(WITNESS_POLICY), `object_missing ${WITNESS_POLICY}`],
      [
        () =>
          put(
            CHECKPOINT,
            stored(CHECKPOINT).replace(
              /(\u2014 w1.example .{40})(.)/u,
              (_, a, b) => `${a}${b === "A" ? "B" : "A"}`,
            ),
          ),
        `cosignature_forged ${CHECKPOINT}`,
      ],
    ];
    for (const [change, code] of bad) {
      change();
      expect(await findings()).toContain(code);
      archive.objects.clear();
      for (const [key, bytes] of good) archive.objects.set(key, bytes);
    }
    expect(await findings()).toEqual([]);
  });
});
