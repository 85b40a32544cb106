/** A bundle with the entrypoints of the real one that says what each service can see: for tests of how they are run. */
import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";

const kinds = (env) =>
  Object.fromEntries(
    Object.entries(env).map(([name, value]) => [name, value?.constructor?.name ?? String(value)]),
  );

export class Gateway extends WorkerEntrypoint {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/slow") await new Promise((resolve) => setTimeout(resolve, 700));
    if (pathname === "/sees") return Response.json(await this.sees());
    const { stallSeconds } = this.env.GATEWAY_SETTINGS;
    return Response.json({ stallSeconds, kept: await this.env.APPEND.said() });
  }

  async sees() {
    const outside = await fetch("http://127.0.0.1:9/").then(
      () => "reached",
      () => "refused",
    );
    const evaluator = await this.env.EVALUATOR.sees();
    const egress = await (await this.env.EGRESS.fetch("http://egress/")).json();
    return { gateway: kinds(this.env), outside, evaluator, egress };
  }
}

export class Console extends WorkerEntrypoint {
  async fetch() {
    return Response.json({ console: kinds(this.env), read: await this.env.READ.said() });
  }
}

export class Evaluator extends WorkerEntrypoint {
  async sees() {
    const listing = await this.env.POLICIES.fetch("http://policies/");
    return { evaluator: kinds(this.env), listing: await listing.json() };
  }
}

export class Egress extends WorkerEntrypoint {
  async fetch() {
    const spooled = await this.env.SPOOL.said();
    return Response.json({ egress: kinds(this.env), credential: this.env.CREDENTIAL_0, spooled });
  }
}

export class IssuerKeys extends WorkerEntrypoint {}
export class Analyzer extends WorkerEntrypoint {}

class Recorded extends WorkerEntrypoint {
  said() {
    return this.env.SESSION.get(this.env.SESSION.idFromName("a")).count();
  }
}

export class Append extends Recorded {}
export class Spool extends Recorded {}
export class Kill extends Recorded {}
export class Custody extends Recorded {}
export class Hold extends Recorded {}
export class Pins extends Recorded {}
export class Decide extends Recorded {}
export class Standing extends Recorded {}
export class Scope extends WorkerEntrypoint {}

export class Read extends WorkerEntrypoint {
  async said() {
    const algorithm = { name: "ECDSA", hash: "SHA-256" };
    const signed = await crypto.subtle.sign(algorithm, this.env.SEAL_KEY, new Uint8Array(1));
    const listing = await fetch("http://archive/keys?prefix=");
    return { recorder: kinds(this.env), signed: signed.byteLength, archive: listing.status };
  }
}

export class SessionObject extends DurableObject {
  count() {
    const { sql } = this.ctx.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS call (n INTEGER PRIMARY KEY)");
    sql.exec("INSERT INTO call DEFAULT VALUES");
    return sql.exec("SELECT count(*) AS n FROM call").one().n;
  }
}
export class JournalObject extends DurableObject {}
export class LedgerObject extends DurableObject {}
export class DirectoryObject extends DurableObject {}
