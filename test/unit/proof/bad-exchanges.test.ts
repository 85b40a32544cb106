/** Sessions whose frames are each as they should be, and together are not what a session is. */
import { beforeAll, describe, expect, test } from "vitest";
import type { FindingCode } from "#durable/proof/finding.ts";
import { verifyArchive } from "#durable/proof/verify/archive.ts";
import {
  bytesSession,
  claim,
  codes,
  found,
  longSession,
  now,
  type Pushed,
  push,
  pushBody,
  pushSession,
  requestPush,
  session,
} from "./corpus.ts";
import { Archive, fill, type Recording, source } from "./recording.ts";

let pushed: Pushed;
beforeAll(() => {
  pushed = pushBody(5);
});

/** What is recorded between the open head and the end of a session. */
type Record = readonly [name: string, write: (recording: Recording) => void, code: FindingCode];

const recorded: readonly Record[] = [
  [
    "a response that no decision allowed",
    (r) => {
      const x = r.exchange();
      r.request(x, "none");
      r.respond(x);
    },
    "decision_missing",
  ],
  [
    "a response to what was denied",
    (r) => {
      const x = r.exchange();
      r.request(x, "deny");
      r.respond(x);
    },
    "decision_missing",
  ],
  [
    "a decision after the response",
    (r) => {
      const x = r.exchange();
      r.request(x);
      r.respond(x);
      r.decide(x, "allow");
    },
    "exchange_order",
  ],
  ["a response without a request", (r) => r.respond(r.exchange()), "exchange_order"],
  [
    "two requests of one exchange",
    (r) => {
      const x = r.talk();
      r.request(x);
    },
    "exchange_order",
  ],
  [
    "two responses of one exchange",
    (r) => {
      const x = r.talk();
      r.respond(x);
    },
    "exchange_order",
  ],
  [
    "response bytes before the response",
    (r) => {
      const x = r.exchange();
      r.request(x);
      r.text(x, "s2c", 0, "x");
    },
    "exchange_order",
  ],
  [
    "two ends of one body",
    (r) => {
      const x = r.talk();
      r.end(x, "s2c", 3);
    },
    "exchange_order",
  ],
  [
    "a body without an end",
    (r) => {
      const x = r.exchange();
      r.request(x);
      r.text(x, "c2s", 0, "x");
    },
    "body_end",
  ],
  [
    "a body with a hole",
    (r) => {
      const x = r.exchange();
      r.request(x);
      r.text(x, "c2s", 0, "x");
      r.text(x, "c2s", 2, "y");
      r.end(x, "c2s", 3);
    },
    "body_gap",
  ],
  [
    "a body that ends beyond its bytes",
    (r) => {
      const x = r.exchange();
      r.request(x);
      r.text(x, "c2s", 0, "x");
      r.end(x, "c2s", 2);
    },
    "body_gap",
  ],
  [
    "a body with a byte twice",
    (r) => {
      const x = r.exchange();
      r.request(x);
      r.text(x, "c2s", 0, "xy");
      r.text(x, "c2s", 1, "y");
      r.end(x, "c2s", 2);
    },
    "body_overlap",
  ],
  [
    "a body that goes on after its end",
    (r) => {
      const x = r.exchange();
      r.request(x);
      r.end(x, "c2s", 0);
      r.text(x, "c2s", 0, "y");
    },
    "body_overlap",
  ],
  ["bytes beyond their segment", (r) => chunk(r, [0, 90, 20]), "bytes_range"],
  ["bytes in a segment that is not there", (r) => chunk(r, [3, 0, 100]), "bytes_range"],
  [
    "bytes that an earlier frame named",
    (r) => {
      chunk(r);
      chunk(r, [0, 0, 100]);
    },
    "bytes_overlap",
  ],
  ["bytes with a gap before them", (r) => chunk(r, [0, 10, 90]), "bytes_gap"],
  ["bytes that no frame names at the end", (r) => chunk(r, [0, 0, 50]), "bytes_gap"],
  ["bytes with another digest", (r) => chunk(r, [0, 0, 99]), "bytes_digest"],
  [
    "a gap",
    (r) => r.write({ k: "gap", cause: "the disk was full", exchanges: [], missing: "a frame" }),
    "session_gap",
  ],
];

function chunk(r: Recording, pointer?: readonly [number, number, number]): void {
  const x = r.exchange();
  r.request(x);
  r.raw(x, "c2s", 0, fill(100, 3), pointer);
  r.end(x, "c2s", pointer?.[2] ?? 100);
}

describe("a session that recorded", () => {
  test.each(recorded)("%s is found", async (_, write, code) => {
    const { verified, recording } = await found((archive) => session(archive, write));
    expect(codes(verified)).toContain(code);
    expect(verified.findings.find((finding) => finding.code === code)?.object).toContain(recording.folder);
  });

  test("bytes in two segments with their frames in order has no finding", async () => {
    expect((await found((archive) => bytesSession(archive))).verified.findings).toEqual([]);
    expect((await found((archive) => longSession(archive))).verified.findings).toEqual([]);
  });

  test("request bytes that were thrown away after a refusal has no finding", async () => {
    const { verified } = await found((archive) =>
      session(archive, (r) => {
        const x = r.exchange();
        r.request(x, "deny");
        r.text(x, "c2s", 0, "abc");
        r.write({ k: "gap", cause: "refused", exchanges: [x], missing: "5 request bytes from 3" });
        r.end(x, "c2s", 8, "refused");
        r.respond(x, true);
      }),
    );
    expect(verified).toMatchObject({ findings: [], completeness: "COMPLETE" });
  });

  test("an exchange of which a gap says that frames were lost has no finding but the gap", async () => {
    const { verified } = await found((archive) =>
      session(archive, (r) => {
        const x = r.exchange();
        r.write({ k: "gap", cause: "the recorder could not write", exchanges: [x], missing: "its request" });
        r.respond(x);
        r.text(x, "s2c", 5, "x");
      }),
    );
    expect(codes(verified)).toEqual(["session_gap"]);
  });

  test("an exchange that was cut before its response has no finding", async () => {
    const { verified } = await found((archive) =>
      session(archive, (r) => {
        const x = r.exchange();
        r.request(x);
        r.end(x, "c2s", 0, "cut");
        r.end(x, "s2c", 0, "cut");
      }),
    );
    expect(verified.findings).toEqual([]);
  });
});

describe("a push", () => {
  const fake = "f".repeat(40);
  const pushing = (write: (recording: Recording) => void, oids: readonly string[] = []) =>
    found(async (archive) => {
      const recording = archive.session(8);
      await recording.begin();
      write(recording);
      await recording.close(
        "closed",
        oids.map((oid) => ({ ref: `commit/${oid}`, oid })),
      );
      return recording;
    });

  test("as stock git sends it has no finding", async () => {
    expect((await found((archive) => pushSession(archive, pushed))).verified.findings).toEqual([]);
  });

  test("whose git frame claims a commit that the pack does not contain is found", async () => {
    const { verified, recording } = await pushing((r) => push(r, pushed, [...pushed.commits, fake]));
    expect(verified.findings).toMatchObject([
      { code: "commit_missing", object: `${recording.folder}frames-000000.ndjson.zst` },
    ]);
    expect(verified.findings[0]?.message).toContain(fake);
  });

  test("of a head that claims a commit that no pack contains is found", async () => {
    const { verified, recording } = await pushing((r) => push(r, pushed), [...pushed.commits, fake]);
    expect(verified.findings).toMatchObject([{ code: "commit_missing", object: recording.lastHead }]);
  });

  test("claimed by a session that recorded none is found", async () => {
    expect(codes((await pushing((r) => r.talk(), [fake])).verified)).toEqual(["commit_missing"]);
  });

  test("whose body updates other refs than its request says is found", async () => {
    const said = pushed.updates.map((update) => ({ ...update, ref: "refs/heads/other" }));
    expect(codes((await pushing((r) => push(r, { ...pushed, updates: said }))).verified)).toContain(
      "push_differs",
    );
    const { verified } = await pushing((r) => {
      const x = r.exchange();
      requestPush(r, x, pushed);
      claim(r, x, [], said);
    });
    expect(codes(verified)).toContain("push_differs");
  });

  test("of more refs than its request has room for is held against its git frames", async () => {
    const abridged = (r: Recording, claimed: Pushed["updates"]) => {
      const x = r.exchange();
      requestPush(r, x, { ...pushed, updates: [] }, pushed.updates.length);
      claim(r, x, [], claimed);
      r.decide(x, "allow");
      r.raw(x, "c2s", 0, pushed.body, undefined, "complete");
      r.respond(x);
      r.end(x, "s2c", 0);
    };
    expect((await pushing((r) => abridged(r, pushed.updates))).verified.findings).toEqual([]);
    const other = pushed.updates.map((update) => ({ ...update, ref: "refs/heads/other" }));
    for (const said of [[], other, [...pushed.updates, ...other]])
      expect(codes((await pushing((r) => abridged(r, said))).verified)).toEqual(["push_differs"]);
  });

  test("whose body ends with its last bytes, not with a frame of its own, is checked like any", async () => {
    const whole = (r: Recording, commits: readonly string[], body = pushed.body) => {
      const x = r.exchange();
      requestPush(r, x, pushed);
      claim(r, x, commits, pushed.updates);
      r.raw(x, "c2s", 0, body.slice(0, 100));
      r.raw(x, "c2s", 100, body.slice(100), undefined, "complete");
      r.decide(x, "allow");
      r.respond(x);
      r.end(x, "s2c", 0);
    };
    const claimed = pushed.commits.slice(0, 1);
    expect((await pushing((r) => whole(r, pushed.commits), claimed)).verified.findings).toEqual([]);
    const { verified } = await pushing((r) => whole(r, [...pushed.commits, fake]), [fake]);
    expect(codes(verified)).toEqual(["commit_missing", "commit_missing"]);
    const damaged = pushed.body.slice(0, -1);
    expect(codes((await pushing((r) => whole(r, [], damaged))).verified)).toEqual(["pack_malformed"]);
  });

  test("whose pack is damaged is found", async () => {
    const body = pushed.body.slice();
    body[body.byteLength - 1] = (body.at(-1) ?? 0) ^ 1;
    expect(codes((await pushing((r) => push(r, { ...pushed, body }))).verified)).toEqual(["pack_malformed"]);
  });

  test("that was denied proves no commit of a head", async () => {
    const { verified } = await pushing(
      (r) => {
        const x = r.exchange();
        requestPush(r, x, pushed);
        claim(r, x, pushed.commits, pushed.updates);
        r.raw(x, "c2s", 0, pushed.body);
        r.end(x, "c2s", pushed.body.byteLength, "refused");
        r.decide(x, "deny");
        r.respond(x, true);
      },
      pushed.commits.slice(0, 1),
    );
    expect(codes(verified)).toEqual(["commit_missing"]);
  });

  test("larger than the verifier holds is said not to be checked", async () => {
    const archive = new Archive();
    await pushSession(archive, pushed);
    const verified = await verifyArchive(source(archive.objects), { now, packMax: 500 });
    expect(codes(verified)).toEqual(["pack_unchecked"]);
  });

  test("of which only digests were kept has no finding", async () => {
    const { verified } = await pushing((r) => {
      const x = r.exchange();
      requestPush(r, x, pushed);
      claim(r, x, pushed.commits, pushed.updates);
      r.decide(x, "allow");
      r.write({ k: "data", x, dir: "c2s", off: 0, len: 70, sha256: "0".repeat(64) });
      r.end(x, "c2s", 70);
    }, pushed.commits);
    expect(verified.findings).toEqual([]);
  });
});
