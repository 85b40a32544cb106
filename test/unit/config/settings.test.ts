import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { generateHybridIdentity, generateX25519Identity, identityToRecipient } from "age-encryption";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { COSIGNATURE, ML_DSA_44, noteKey, writeVkey } from "#durable/proof/log/note.ts";
import { line } from "#scripts/config/finding.ts";
import { parseSettings } from "#scripts/config/settings.ts";
import { logSigner } from "#test/support/log-signer.ts";
import { memoryTsa, pemOf } from "#test/support/memory-tsa.ts";
import { workspace } from "#test/support/servers/children.ts";

const signer = await logSigner();
/** The keys of the golden log as if they were witnesses'. */
const W1 = `${writeVkey(noteKey("w1.example", COSIGNATURE, signer.keys.ed25519.bytes))} https://w1.example/witness/`;
const W2 = `${writeVkey(noteKey("w2.example", ML_DSA_44, signer.keys.mlDsa.bytes))} http://127.0.0.1:8790`;

const BASE = "/etc/steno";
const read = (text: string) => parseSettings(text, BASE, `${BASE}/steno.toml`);
const errors = (text: string) => read(text).findings.map(line);

const CONNECTION = '[[connections]]\nname = "p"\nkind = "git"\nupstream = "https://git.internal/team/"\n';
const S3 =
  '[archive]\nkind = "s3"\nendpoint = "https://s3.internal:9000"\nbucket = "steno"\naccess_key = "env:A"\nsecret_key = "file:s"\n';

const AUDITOR = await identityToRecipient(await generateX25519Identity());
const HYBRID = await identityToRecipient(await generateHybridIdentity());

describe("a configuration that is right", () => {
  test("without a file, everything listens on loopback, archives to a directory and reaches nothing", () => {
    const { settings, findings } = parseSettings("", "/srv");
    expect(findings).toEqual([]);
    expect(settings).toMatchObject({
      listen: { agents: { host: "127.0.0.1", port: 8787 }, console: { host: "127.0.0.1", port: 8788 } },
      issuers: [],
      connections: [],
      archive: { kind: "directory", path: "/srv/.steno/archive", retentionDays: 0 },
      serve: { topology: "single", fronts: 1, state: "/srv/.steno" },
      policy: { dir: "/srv/policies" },
    });
    expect(settings?.file).toBeUndefined();
  });

  test("paths are relative to the file, and secrets stay references", () => {
    const { settings } = read(`${CONNECTION}credential = "file:git.token"\n${S3}prefix = "team"\n`);
    expect(settings?.connections[0]).toMatchObject({
      upstream: { base: "https://git.internal/team", host: "git.internal", port: 443 },
      credential: { secret: { kind: "file", path: "/etc/steno/git.token" }, scheme: "basic" },
    });
    expect(settings?.archive).toMatchObject({
      prefix: "team/",
      retentionDays: 400,
      accessKey: { kind: "env", name: "A" },
      secretKey: { kind: "file", path: "/etc/steno/s" },
    });
  });

  test("its digest is that of its bytes, as sha256sum prints it", () => {
    expect(read("# nothing\n").settings?.digest).toBe(
      "5e49ea838dc30f3eeacf6ca7815f6e3adcf77f467a970d978676790fd90377e1",
    );
  });

  test("split runs two fronts unless it says how many", () => {
    expect(read('[serve]\ntopology = "split"\n').settings?.serve.fronts).toBe(2);
    expect(read('[serve]\ntopology = "split"\nfronts = 5\n').settings?.serve.fronts).toBe(5);
  });

  test.each([
    ["git://127.0.0.1", "git://127.0.0.1:9418", 9418],
    ["git://host:80/base/", "git://host:80/base", 80],
    ["http://host/", "http://host", 80],
    ["http://[::1]:3000/x", "http://[::1]:3000/x", 3000],
  ])("upstream %s has the base %s", (upstream, base, port) => {
    const { settings } = read(CONNECTION.replace("https://git.internal/team/", upstream));
    expect(settings?.connections[0]?.upstream).toMatchObject({ base, port });
  });
});

describe("a configuration that is wrong", () => {
  test("every mistake is named at once, with its line", () => {
    const text = [
      "[listen]",
      'agents = "git.internal:8787"',
      'consle = "127.0.0.1:1"',
      "[[identity.oidc]]",
      'issuer = "https://idp"',
      "[[identity.oidc]]",
      'issuer = "idp"',
      'algorithms = ["HS256"]',
      "[[connections]]",
      'name = "A"',
      'kind = "git"',
      'upstream = "ftp://x"',
    ].join("\n");
    expect(
      errors(text).map((finding) => finding.replace(/^error: (\S+): (\w+ ?\w* ?"?\w*).*$/, "$1 $2")),
    ).toEqual([
      "steno.toml:2 agents",
      'steno.toml:3 unknown key "consle',
      "steno.toml:7 issuer",
      "steno.toml:8 algorithms",
      "steno.toml:10 name",
      "steno.toml:12 upstream",
    ]);
  });

  test.each([
    ["[listen]\nconsle = 1", 'unknown key "consle", did you mean "console"?'],
    ["[conections]\n", 'unknown table "conections", did you mean "connections"?'],
    ["[identity.odic]\n", 'unknown table "identity.odic", did you mean "identity.oidc"?'],
    ["archve = 1\n", 'unknown key "archve", did you mean "archive"?'],
    ["[qqqqqqqq]\n", 'unknown table "qqqqqqqq"'],
    ['[listen]\ntls = { cert = "a" }', "tls in [listen] is not available yet"],
    ['[cluster]\nbucket = "s3://x"', "[cluster] is not available yet"],
    ['[identity.saml]\nidp_metadata = "file:x"', "[identity.saml] is not available yet"],
    ["[evidence]\nquorum = 1", "quorum: there are 0 witnesses"],
    ["[evidence]\nquorum = 0", "quorum: must be a whole number from 1 to 32"],
    [`[evidence]\nwitnesses = ["${W1}"]\nquorum = 2`, "quorum: there are 1 witnesses"],
    [`[evidence]\nwitnesses = ["${W1}", "${W1}"]`, "w1.example is there twice, or under two names"],
    [`[evidence]\nwitnesses = ["${W1.split(" ")[0]}"]`, 'witnesses: must be "VKEY URL"'],
    [`[evidence]\nwitnesses = ["${W1} more"]`, 'witnesses: must be "VKEY URL"'],
    [
      `[evidence]\nwitnesses = ["w1.example+00000000+AAAA https://w1"]`,
      "witnesses: w1.example+00000000+AAAA is ",
    ],
    [
      `[evidence]\nwitnesses = ["${writeVkey(signer.keys.ed25519)} https://w1"]`,
      "a key of type 1 does not cosign",
    ],
    [
      `[evidence]\nwitnesses = ["${W1.split(" ")[0]} w1.example"]`,
      "w1.example must be a URL that starts with http://",
    ],
    [`[evidence]\nwitnesses = "${W1}"`, "witnesses: must be a list"],
    ['[evidence]\ntsa = "tsa.example"', "tsa: must be a URL that starts with http:// or https://"],
    ['[evidence]\ntsa_cert = "file:x"', "tsa_cert without tsa"],
    ['[[approvals.webhooks]]\nurl = "ftp://x"', "url: must be a URL that starts with http:// or https://"],
    ['[[approvals.webhooks]]\nurl = "http://x"\nshape = "irc"', 'shape: must be "json", "slack" or "teams"'],
    ['[[approvals.webhooks]]\nurl = "http://x"\nsecret = "plain"', "secret: "],
    ['[[approvals.webhooks]]\nurl = "http://x"\nkind = "json"', 'unknown key "kind"'],
    [
      '[evidence]\norigin = "a.example"\nprevious_origins = ["b.example", "a.example"]',
      '"a.example" is named twice: each log has a name of its own',
    ],
    ['[evidence]\nprevious_origins = ["A"]', "must be a bare hostname in lower case"],
    ['[evidence]\nprevious_log_key = "env:K"', "previous_log_key without previous_origins"],
    ['[evidence]\nprevious_origins = ["a.b"]\nprevious_log_key = "K"', "previous_log_key: "],
    ['[evidence]\ntsa = "http://t"\ntsa_cert = "x.pem"', 'tsa_cert: must be "file:PATH"'],
    ['[evidence]\ntsa = "http://t"\ntsa_cert = "file:none.pem"', "none.pem cannot be read: ENOENT"],
    ['[evidence]\nencrypt_to = ["age1"]', '"age1" is not a recipient of age'],
    ['[evidence]\nencrypt_to = ["AGE-SECRET-KEY-1X"]', "what stands there is not a recipient of age"],
    [`[evidence]\nencrypt_to = ["${AUDITOR}", "${AUDITOR}"]`, "names a recipient twice"],
    [`[evidence]\nencrypt_to = ["${AUDITOR}", "${HYBRID}"]`, "mixes age1pq1… with others"],
    [`${S3}[evidence]\nencrypt_to = ["${AUDITOR}"]`, "encrypt_to needs keys_bucket in [archive]"],
    [`${S3}keys_bucket = "k"`, "keys_bucket: is not a bucket name"],
    [`${S3}keys_bucket = "steno"`, "keys_bucket must not be the archive's bucket"],
    [
      `${S3}keys_bucket = "keys"\nkeys_access_key = "env:K"`,
      "keys_access_key and keys_secret_key go together",
    ],
    [`${S3}keys_path = "./keys"`, 'keys_path does not apply to an archive of kind "s3"'],
    [CONNECTION.replace('"git"', '"svn"'), "kind: must be one of git, http, llm, mcp"],
    [CONNECTION + CONNECTION, 'there is already a connection named "p"'],
    [
      CONNECTION.replace("https:", "ssh:"),
      "upstream: must be a URL that starts with http:// or https:// or git://",
    ],
    [CONNECTION.replace("git.internal", "u:p@git.internal"), "upstream: must not contain a user or password"],
    [CONNECTION.replace("team/", "?a=b"), "upstream: must not have a query or fragment"],
    [CONNECTION.replace('"git"', '"hooks"').replace('"p"', '"cursor"'), "hooks have no upstream"],
    ['[[connections]]\nname = "p"\nkind = "mcp"\n', "upstream is missing, or command for a program"],
    [
      '[[connections]]\nname = "p"\nkind = "http"\ncommand = ["x"]\n',
      "a connection of kind http is no program",
    ],
    [`${CONNECTION.replace('"git"', '"mcp"')}command = ["x"]`, "a program has no upstream"],
    ['[[connections]]\nname = "p"\nkind = "mcp"\ncommand = []\n', "command: must name a program"],
    [
      '[[connections]]\nname = "p"\nkind = "mcp"\ncommand = ["x"]\nenvironment = { KEY = "vault:a#b" }\n',
      "KEY: vault: references are not available yet",
    ],
    ['[[connections]]\nname = "p"\nkind = "hooks"\n', "is named after its agent: cursor or claude"],
    ['[[connections]]\nname = "p"\nkind = "http"\n', "upstream is missing"],
    [`${CONNECTION.replace("https:", "git:")}credential = "env:T"`, "a git:// upstream takes no credential"],
    [S3.replace('endpoint = "https://s3.internal:9000"\n', ""), "endpoint is missing"],
    [S3.replace("9000", "9000/path"), "endpoint: must be a scheme, host and port without a path"],
    [`${S3}path = "./x"`, 'path does not apply to an archive of kind "s3"'],
    [
      '[archive]\nkind = "directory"\nbucket = "b"',
      'bucket does not apply to an archive of kind "directory"',
    ],
    ['[archive]\nkind = "tape"', 'kind: archive.kind must be "s3" or "directory"'],
    [
      '[archive]\nkind = "directory"\nretention_days = 1.5',
      "retention_days: must be a whole number from 0 to 36500",
    ],
    ['[session]\nidle_seconds = "9"', "idle_seconds: must be a whole number"],
    ["[session]\nidle_seconds = 99999", "idle_seconds must not exceed max_seconds"],
    ["[session]\ncut_seconds = 301", "cut_seconds: must be a whole number from 1 to 300"],
    ['[evidence]\norigin = "https://x"', "origin: must be a bare hostname"],
    [
      '[listen]\nagents = "127.0.0.1:1"\nconsole = "127.0.0.1:1"',
      "agents and console must not share a socket",
    ],
    ['[listen]\nagents = "127.0.0.1:70000"', "is not an address to listen on"],
    ['[roles]\nadmin = "platform"', "admin: must be a list"],
    ["listen = 3", "listen: must be a table"],
    ['[[identity.oidc]]\nissuer = "https://a"\naudience = "x"\nconsole_audience = "x"', "must differ"],
    ['[[identity.oidc]]\nissuer = "https://a"\nclient_secret = "env:X"', "client_secret without client_id"],
    ['[[identity.oidc]]\naudience = "x"', "issuer is missing"],
    ["[listen\n", "not TOML"],
  ])("%j is refused: %s", (text, said) => {
    const { settings } = read(text);
    expect(settings).toBeUndefined();
    expect(errors(text).join("\n")).toContain(said);
  });

  test("fronts without split is only a warning", () => {
    const { settings, findings } = read("[serve]\nfronts = 3\n");
    expect(settings?.serve.fronts).toBe(1);
    expect(findings.map(line)).toEqual([
      'warning: steno.toml:2: fronts has no effect unless topology = "split"',
    ]);
  });

  test("a secret that stands in the file is refused and not repeated", () => {
    const text = `${S3.replace("env:A", "AKIA-hush").replace("file:s", "vault:kv#hush")}\n${CONNECTION}credential = "hush"\n`;
    const said = errors(text).join("\n");
    expect(said).toContain("access_key: must be a reference, env:NAME or file:PATH, never the secret itself");
    expect(said).toContain("secret_key: vault: references are not available yet");
    expect(said).toContain("credential: must be a reference");
    expect(said).not.toContain("hush");
  });

  test("witnesses are read with their keys, and all of them are the quorum unless fewer are asked for", () => {
    const evidence = (text: string) =>
      read(`[evidence]\nwitnesses = ["${W1}", "${W2}"]\n${text}`).settings?.evidence;
    expect(evidence("")).toMatchObject({
      quorum: 2,
      witnesses: [
        { key: { name: "w1.example" }, url: { base: "https://w1.example/witness" } },
        { key: { type: 6 } },
      ],
    });
    expect(evidence("quorum = 1")?.quorum).toBe(1);
    expect(read("").settings?.evidence).toMatchObject({ quorum: 0, witnesses: [] });
  });

  test("a timestamp authority is read with its chain, and a chain that does not hold is refused", async () => {
    const home = workspace("tsa");
    const [tsa, other] = [await memoryTsa({ now: () => 0 }), await memoryTsa({ now: () => 0 })];
    const reading = (...chain: (typeof tsa.chain)[number][]) => {
      writeFileSync(join(home.path, "tsa.pem"), `about it\n${pemOf({ chain })}`);
      return parseSettings(
        '[evidence]\ntsa = "https://tsa.example/tsr"\ntsa_cert = "file:tsa.pem"',
        home.path,
      );
    };
    const [own, root] = tsa.chain;
    const theirs = other.chain[1];
    if (!own || !root || !theirs) throw new Error("no chain");
    const { evidence } = reading(own, root).settings ?? {};
    expect(evidence?.tsa).toMatchObject({ url: { base: "https://tsa.example/tsr" }, chain: pemOf(tsa) });
    for (const [chain, why] of [
      [[own], "append its issuer's"],
      [[root], "not an authority's"],
      [[own, theirs], "the signature of certificate 1 does not hold"],
    ] as const) {
      const { settings, findings } = reading(...chain);
      expect(settings).toBeUndefined();
      expect(findings.map(line).join()).toContain(why);
    }
    home.remove();
  });

  test("a file that was named and is not there is an error", async () => {
    const { loadSettings } = await import("#scripts/config/settings.ts");
    expect(loadSettings("/nowhere", "steno.toml").findings.map(line).join()).toMatch(
      /cannot be read: .*ENOENT/,
    );
    expect(loadSettings("/nowhere").settings?.file).toBeUndefined();
  });

  test("no text makes reading it throw", () => {
    const piece = fc.oneof(
      fc.constantFrom(
        "[listen]",
        "[[connections]]",
        "[identity.oidc]",
        "[[archive]]",
        "kind = 1",
        'name = "x"',
        "a.b=[]",
      ),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const { settings, findings } = read(pieces.join("\n"));
        expect(settings !== undefined || findings.length > 0).toBe(true);
      }),
    );
  });
});
