import { expect, test } from "vitest";
import { mintSessionId, type SessionId } from "#durable/format/ids.ts";
import { Claims } from "#workers/recorder/claims.ts";

const alice = { issuer: "https://idp.example", subject: "alice", groups: [] };
const bob = { ...alice, subject: "bob" };
const id = (n: number): SessionId => mintSessionId(0, new Uint8Array(10).fill(n));
const [one, two] = [id(1), id(2)];
const MINUTE = 60_000;
const told = (session: SessionId, event = "beforeMCPExecution") => ({ session, event });

test("a call is led to the conversation that claims it, once for each claim", () => {
  const claims = new Claims();
  claims.stand(alice, "a", told(one), 0);
  claims.stand(alice, "a", told(one), 0);
  for (let i = 0; i < 2; i++) {
    expect(claims.sessionOf(alice, "a", 0)).toBe(one);
    claims.take(alice, "a", one);
  }
  expect(claims.sessionOf(alice, "a", 0)).toBeUndefined();
});

test("several events that tell of one call are one claim", () => {
  const claims = new Claims();
  claims.stand(alice, "a", told(one, "preToolUse"), 0);
  claims.stand(alice, "a", told(one, "beforeMCPExecution"), 0);
  claims.take(alice, "a", one);
  expect(claims.sessionOf(alice, "a", 0)).toBeUndefined();
});

test("nobody guesses: what two conversations claim is led to neither, until one of them has ended", () => {
  const claims = new Claims();
  claims.stand(alice, "a", told(one), 0);
  claims.stand(alice, "a", told(two), 0);
  expect(claims.sessionOf(alice, "a", 0)).toBeUndefined();
  claims.end(alice, "a", two);
  expect(claims.sessionOf(alice, "a", 0)).toBe(one);
});

test("a claim is its principal's, for those arguments, for ten minutes", () => {
  const claims = new Claims();
  claims.stand(alice, "a", told(one), 0);
  expect(claims.sessionOf(bob, "a", 0)).toBeUndefined();
  expect(claims.sessionOf(alice, "b", 0)).toBeUndefined();
  expect(claims.sessionOf(alice, "a", 10 * MINUTE - 1)).toBe(one);
  expect(claims.sessionOf(alice, "a", 10 * MINUTE)).toBeUndefined();
});
