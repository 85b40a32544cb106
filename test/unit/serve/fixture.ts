/** A bundle with the entrypoints of the real one that says what each service can see: for tests of how they are run. */
import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";

type Env = Readonly<Record<string, unknown>>;
type Caller = { said(): Promise<string> };

const kinds = (env: Env) =>
  Object.fromEntries(
    Object.entries(env).map(([name, value]) => [name, value?.constructor?.name ?? String(value)]),
  );

export class Gateway extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/slow") await new Promise((resolve) => setTimeout(resolve, 700));
    if (pathname === "/sees") return Response.json(await this.#sees());
    const recorder = await (this.env["APPEND"] as Caller).said();
    return new Response(`${pathname} by ${JSON.stringify(this.env["GATEWAY_SETTINGS"])} kept ${recorder}`);
  }

  async #sees() {
    const outside = await fetch("http://127.0.0.1:9/").then(
      () => "reached",
      () => "refused",
    );
    const evaluator = await (this.env["EVALUATOR"] as { sees(): Promise<unknown> }).sees();
    const egress = await (await (this.env["EGRESS"] as Fetcher).fetch("http://egress/")).json();
    return { gateway: kinds(this.env), outside, evaluator, egress };
  }
}

export class Console extends WorkerEntrypoint<Env> {
  override async fetch(): Promise<Response> {
    return Response.json({ console: kinds(this.env), read: await (this.env["READ"] as Caller).said() });
  }
}

export class Evaluator extends WorkerEntrypoint<Env> {
  async sees() {
    const listing = await (this.env["POLICIES"] as Fetcher).fetch("http://policies/");
    return { evaluator: kinds(this.env), listing: await listing.json() };
  }
}

export class Egress extends WorkerEntrypoint<Env> {
  override async fetch(): Promise<Response> {
    const spooled = await (this.env["SPOOL"] as Caller).said();
    return Response.json({ egress: kinds(this.env), credential: this.env["CREDENTIAL_0"], spooled });
  }
}

export class IssuerKeys extends WorkerEntrypoint<Env> {}

class Recorded extends WorkerEntrypoint<Env> {
  async said(): Promise<string> {
    const sessions = this.env["SESSION"] as DurableObjectNamespace<SessionObject>;
    return `${await sessions.get(sessions.idFromName("a")).count()}`;
  }
}

export class Append extends Recorded {}
export class Spool extends Recorded {}
export class Kill extends Recorded {}
export class Read extends WorkerEntrypoint<Env> {
  async said() {
    const signed = await crypto.subtle.sign(
      { name: "ECDSA", hash: "SHA-256" },
      this.env["SEAL_KEY"] as CryptoKey,
      new Uint8Array(1),
    );
    const archive = await fetch("http://archive/keys?prefix=").then(
      (response) => response.status,
      (cause: unknown) => String(cause),
    );
    return { recorder: kinds(this.env), signed: signed.byteLength, archive };
  }
}

export class SessionObject extends DurableObject<Env> {
  count(): number {
    const { sql } = this.ctx.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS call (n INTEGER PRIMARY KEY)");
    sql.exec("INSERT INTO call DEFAULT VALUES");
    return Number(sql.exec("SELECT count(*) AS n FROM call").one()["n"]);
  }
}
export class LedgerObject extends DurableObject<Env> {}
export class DirectoryObject extends DurableObject<Env> {}
