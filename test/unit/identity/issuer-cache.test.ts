import { beforeAll, describe, expect, test } from "vitest";
import { Refusal } from "#durable/format/refusal.ts";
import { makeAuthenticator } from "#workers/identity/token.ts";
import { authenticator, Clock, Published, SETTINGS, type Signer, sign, signer } from "./issuer.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

let old: Signer;
let fresh: Signer;
beforeAll(async () => {
  [old, fresh] = await Promise.all([signer("ES256", "old"), signer("ES256", "fresh")]);
});

const code = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => "accepted",
    (thrown: unknown) => (thrown instanceof Refusal ? thrown.code : String(thrown)),
  );

test("keys are fetched once and used for ten minutes", async () => {
  const keys = new Published(old);
  const clock = new Clock();
  const authenticate = authenticator(keys, clock);
  for (const sub of ["a", "b", "c"]) await authenticate(await sign(old, { sub }));
  expect(keys.fetches).toBe(1);
  clock.pass(10 * MINUTE);
  await authenticate(await sign(old, { sub: "d", exp: clock.at / 1000 + 60 }));
  expect(keys.fetches).toBe(2);
});

test("an unknown kid asks the issuer once, then is refused, however often and with whatever kid it comes", async () => {
  const keys = new Published(old);
  const clock = new Clock();
  const authenticate = authenticator(keys, clock);
  await authenticate(await sign(old));
  clock.pass(31_000);
  for (let i = 0; i < 20; i++) {
    expect(await code(authenticate(await sign(fresh, {}, { kid: `guess-${i}` })))).toBe("unauthenticated");
  }
  expect(keys.fetches).toBe(2);
  clock.pass(30_000);
  expect(await code(authenticate(await sign(fresh)))).toBe("unauthenticated");
  expect(keys.fetches).toBe(3);
});

test("a new key is accepted as soon as it signs", async () => {
  const keys = new Published(old);
  const clock = new Clock();
  const authenticate = authenticator(keys, clock);
  await authenticate(await sign(old));
  clock.pass(MINUTE);
  keys.keys = [fresh.jwk, old.jwk];
  expect(await code(authenticate(await sign(fresh)))).toBe("accepted");
  expect(await code(authenticate(await sign(old)))).toBe("accepted");
  expect(keys.fetches).toBe(2);
});

test("many requests with a new key at once cause one fetch, and all are accepted", async () => {
  const keys = new Published(old);
  const clock = new Clock();
  const authenticate = authenticator(keys, clock);
  await authenticate(await sign(old));
  clock.pass(MINUTE);
  keys.keys = [fresh.jwk];
  let open = () => {};
  keys.gate = new Promise((resolve) => {
    open = resolve;
  });
  const tokens = await Promise.all(Array.from({ length: 20 }, (_, i) => sign(fresh, { sub: `s${i}` })));
  const all = Promise.all(tokens.map((token) => code(authenticate(token))));
  setTimeout(open, 50);
  expect(new Set(await all)).toEqual(new Set(["accepted"]));
  expect(keys.fetches).toBe(2);
});

test("many first requests at once cause one fetch", async () => {
  const keys = new Published(old);
  const authenticate = authenticator(keys, new Clock());
  const tokens = await Promise.all(Array.from({ length: 20 }, (_, i) => sign(old, { sub: `s${i}` })));
  expect(new Set(await Promise.all(tokens.map((token) => code(authenticate(token)))))).toEqual(
    new Set(["accepted"]),
  );
  expect(keys.fetches).toBe(1);
});

test("a fetch that never ends is given up by those who wait, and tried again", async () => {
  const keys = new Published(old);
  const clock = new Clock();
  const authenticate = authenticator(keys, clock);
  keys.gate = new Promise(() => {});
  void authenticate(await sign(old, { sub: "gone" }));
  const waiting = code(authenticate(await sign(old, { sub: "waits" })));
  await new Promise((resolve) => setTimeout(resolve, 50));
  clock.pass(15_000);
  expect(await waiting).toBe("identity_unavailable");
  keys.gate = Promise.resolve();
  expect(await code(authenticate(await sign(old, { sub: "next" })))).toBe("accepted");
});

describe("a verified token", () => {
  test("is remembered until it expires, and then refused", async () => {
    const keys = new Published(old);
    const clock = new Clock();
    const authenticate = authenticator(keys, clock);
    const token = await sign(old);
    const first = await authenticate(token);
    expect(await authenticate(token)).toBe(first);
    clock.pass(661_000);
    expect(await code(authenticate(token))).toBe("unauthenticated");
  });

  test("is refused once its key has been withdrawn for as long as keys are fresh", async () => {
    const keys = new Published(old);
    const clock = new Clock();
    const authenticate = authenticator(keys, clock);
    const token = await sign(old, { exp: clock.at / 1000 + 3600 });
    await authenticate(token);
    keys.keys = [fresh.jwk];
    clock.pass(9 * MINUTE);
    expect(await code(authenticate(token))).toBe("accepted");
    clock.pass(MINUTE);
    expect(await code(authenticate(token))).toBe("unauthenticated");
  });
});

describe("when the issuer is down", () => {
  test("keys known are used for a day, then everybody is refused, also who was remembered", async () => {
    const keys = new Published(old);
    const clock = new Clock();
    const authenticate = authenticator(keys, clock);
    await authenticate(await sign(old));
    keys.down = true;
    clock.pass(23 * HOUR);
    const token = await sign(old, { iat: clock.at / 1000, exp: clock.at / 1000 + 12 * 3600 });
    expect(await code(authenticate(token))).toBe("accepted");
    clock.pass(HOUR);
    const thrown = await authenticate(token).catch((cause: unknown) => cause);
    expect(thrown).toMatchObject({ code: "identity_unavailable", status: 503 });
    expect((thrown as Refusal).cause).toMatchObject({ message: "connection refused" });
    keys.down = false;
    clock.pass(30_000);
    expect(await code(authenticate(token))).toBe("accepted");
  });

  test("it is asked at most every 30 seconds", async () => {
    const keys = new Published(old);
    const clock = new Clock();
    const authenticate = authenticator(keys, clock);
    keys.down = true;
    for (let i = 0; i < 10; i++)
      expect(await code(authenticate(await sign(old)))).toBe("identity_unavailable");
    expect(keys.fetches).toBe(1);
    clock.pass(30_000);
    keys.down = false;
    expect(await code(authenticate(await sign(old)))).toBe("accepted");
    expect(keys.fetches).toBe(2);
  });

  test("a call that throws, or an answer that is no key set, counts as down and keeps the keys known", async () => {
    const clock = new Clock();
    const texts = ["", "[]", '{"keys":7}', "<html>"];
    const published = new Published(old);
    let answers = 0;
    const authenticate = makeAuthenticator({
      issuers: [SETTINGS],
      now: clock.now,
      audience: "agent",
      keys: {
        jwks: async (index) => {
          const text = texts[answers++ - 1];
          if (answers === 1) return published.jwks(index);
          if (text === undefined) throw new Error("egress is gone");
          return { ok: text };
        },
      },
    });
    await authenticate(await sign(old));
    for (const _ of [...texts, "thrown"]) {
      clock.pass(11 * MINUTE);
      const over = { iat: clock.at / 1000, exp: clock.at / 1000 + 60 };
      expect(await code(authenticate(await sign(old, over)))).toBe("accepted");
    }
    expect(answers).toBe(6);
  });
});

test("one broken or private key in the set does not spoil the others", async () => {
  const keys = new Published(old);
  const broken = { ...old.jwk, kid: "broken", x: "AAAA" };
  keys.keys = [broken, { kty: "oct", k: "c2VjcmV0", kid: "old" }, { ...old.jwk, d: "AAAA" }, old.jwk];
  const authenticate = authenticator(keys, new Clock());
  expect(await code(authenticate(await sign(old)))).toBe("accepted");
  expect(await code(authenticate(await sign(old, {}, { kid: "broken" })))).toBe("unauthenticated");
});
