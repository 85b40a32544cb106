// `steno login` at a real provider, and at providers that do what real ones do on bad days.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Clock } from "#scripts/token/device.ts";
import { login } from "#scripts/token/login.ts";
import { type OidcServer, startOidc } from "#test/support/servers/oidc.ts";
import { Kept } from "./gateway.ts";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "steno-login-"));
});
afterEach(() => rmSync(home, { recursive: true }));
const file = () => join(home, "steno/token");
const terminal = (env: Record<string, string> = {}) =>
  new Kept({ HOME: home, XDG_CONFIG_HOME: home, ...env });

/** Time that passes only when somebody sleeps; `meanwhile` happens at the first. */
function clockOf(
  meanwhile: () => Promise<unknown> = async () => undefined,
): Clock & { readonly slept: number[] } {
  let at = Date.now();
  const slept: number[] = [];
  return {
    slept,
    now: () => at,
    async sleep(ms) {
      if (slept.push(ms) === 1) await meanwhile();
      at += ms;
    },
  };
}

describe("at a real provider", () => {
  let oidc: OidcServer;
  beforeAll(async () => {
    oidc = await startOidc({ clients: [{ id: "cli" }] });
  });
  afterAll(() => oidc?.stop());

  test("a person signs in with a browser, and the token is kept for its owner alone", async () => {
    const kept = terminal();
    const clock = clockOf(() =>
      oidc.signIn(/^open (\S+)$/.exec(kept.complaints[0] ?? "")?.[1] ?? "", "alice"),
    );
    expect(await login(["--client-id", "cli", "--issuer", oidc.issuer], kept, clock)).toBe(0);
    expect(kept.complaints).toEqual([
      expect.stringMatching(/^open http:\S+user_code=/),
      expect.stringMatching(/^and look that it says \S+$/),
    ]);
    expect(kept.printed).toEqual(
      expect.arrayContaining([`issuer ${oidc.issuer}`, "subject alice", "audience steno"]),
    );
    expect(`${kept.printed}${kept.complaints}`).not.toContain(readFileSync(file(), "utf8").trim());
  });

  test("nobody comes: nothing is kept, and what was there stays", async () => {
    const clock = clockOf();
    await expect(login(["--client-id", "cli", "--issuer", oidc.issuer], terminal(), clock)).rejects.toThrow(
      "nobody signed in in time",
    );
    expect(clock.slept.length).toBeGreaterThan(3);
    expect(existsSync(file())).toBe(false);
  });

  test.each([
    [["--client-id", "nobody"], "does not begin the device flow"],
    [["--client-id", "cli", "--resource", "urn:x:elsewhere"], "gives no token|does not begin"],
  ])("%j is refused in the provider's words", async (args, why) => {
    const asked = login([...args, "--issuer", oidc.issuer], terminal(), clockOf());
    await expect(asked).rejects.toThrow(new RegExp(why));
  });

  test("another name for the provider is not taken", async () => {
    const other = oidc.issuer.replace("127.0.0.1", "localhost");
    await expect(login(["--client-id", "cli", "--issuer", other], terminal(), clockOf())).rejects.toThrow(
      `calls itself ${oidc.issuer}`,
    );
  });
});

type Said = readonly [status: number, value: unknown] | "gone";

/** A provider that answers its token endpoint with these in turn. */
async function provider(tokens: readonly Said[], more: object = {}, device: object = {}) {
  const left = [...tokens];
  const server = createServer((request, response) => {
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const say = (status: number, value: unknown): void =>
      void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    request.resume();
    if (request.url === "/.well-known/openid-configuration")
      say(200, {
        issuer: base,
        token_endpoint: `${base}/token`,
        device_authorization_endpoint: `${base}/device`,
        ...more,
      });
    else if (request.url === "/v1/issuers") say(200, { issuers: [base], ...more });
    else if (request.url === "/device")
      say(200, {
        device_code: "d",
        user_code: "AB-CD",
        verification_uri: `${base}/enter`,
        expires_in: 600,
        interval: 1,
        ...device,
      });
    else {
      const next = left.shift() ?? "gone";
      if (next === "gone") request.socket.destroy();
      else say(...next);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

const PENDING: Said = [400, { error: "authorization_pending" }];
const GIVEN: Said = [200, { access_token: "opaque", token_type: "Bearer" }];

async function at(served: ReturnType<typeof provider>, args: string[] = []) {
  const server = await served;
  const [kept, clock] = [terminal(), clockOf()];
  try {
    const code = await login(["--client-id", "cli", "--issuer", server.url, ...args], kept, clock);
    return { code, slept: clock.slept, out: kept.printed, err: kept.complaints };
  } finally {
    await server.stop();
  }
}

test("it asks as often as the provider wants, more slowly when told so or when nobody answers", async () => {
  const { code, slept, err } = await at(
    provider([PENDING, [400, { error: "slow_down" }], "gone", PENDING, GIVEN]),
  );
  expect([code, slept]).toEqual([0, [1000, 1000, 6000, 12_000, 12_000]]);
  expect(err).toEqual([expect.stringMatching(/^open http:.*\/enter$/), "and enter AB-CD"]);
  expect(readFileSync(file(), "utf8")).toBe("opaque\n");
});

test("the gateway says who signs people in", async () => {
  const server = await provider([GIVEN]);
  const kept = terminal({ STENO_GATEWAY: server.url });
  expect(await login(["--client-id", "cli"], kept, clockOf())).toBe(0);
  await server.stop();
  await expect(login(["--client-id", "cli"], kept, clockOf())).rejects.toThrow("give --issuer");
  for (const [issuers, why] of [
    [[], "takes nobody's tokens"],
    [["https://a.example", "https://b.example"], "one of https://a.example, https://b.example"],
    ["x", "is not a Steno gateway"],
  ] as const) {
    const other = await provider([], { issuers });
    const asked = login(["--client-id", "cli", "--gateway", other.url], terminal(), clockOf());
    await expect(asked).rejects.toThrow(why);
    await other.stop();
  }
});

describe("nothing is kept where", () => {
  test.each<[string, readonly Said[], object, object, string]>([
    [
      "somebody said no",
      [PENDING, [400, { error: "access_denied" }]],
      {},
      {},
      "gives no token: access_denied",
    ],
    [
      "it is too late",
      [[400, { error: "expired_token", error_description: "too late" }]],
      {},
      {},
      "too late",
    ],
    ["the answer is no token", [[200, { token: "x" }]], {}, {}, "access_token"],
    ["the token is two words", [[200, { access_token: "a b" }]], {}, {}, "holds no token"],
    ["the answer is a page", [[200, undefined]], {}, {}, "nobody signed in in time"],
    ["there is no device flow", [], { device_authorization_endpoint: undefined }, {}, "has no device flow"],
    ["the provider leads elsewhere", [], { token_endpoint: "file:///etc/passwd" }, {}, "no address to send"],
    ["the person is led to a program", [], {}, { verification_uri: "cursor://x" }, "leads to no web page"],
    ["it would take for ever", [], {}, { expires_in: 1e9 }, "is not understood: expires_in"],
  ])("%s", async (_, tokens, more, device, why) => {
    await expect(at(provider(tokens, more, device))).rejects.toThrow(why);
    expect(existsSync(file())).toBe(false);
  });

  test("a code would steer the terminal", async () => {
    const { err } = await at(provider([GIVEN], {}, { user_code: "A\u001b[2J\u202eB" }));
    expect(err.join("")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });

  test("the client is not named", async () => {
    await expect(login([], terminal(), clockOf())).rejects.toThrow("--client-id names it");
  });
});
