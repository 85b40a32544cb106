/** Reads a command's arguments; what it does not know is an error that names the nearest it does. */
import { parseArgs } from "node:util";
import { nearest } from "#scripts/config/nearest.ts";

/** A mistake in how a command was called: exit 2. */
export class UsageFault extends Error {
  override readonly name = "UsageFault";
}

/** `texts`: may be given more than once. */
type Options = Readonly<Record<string, "text" | "texts" | "flag">>;
type Value = { readonly text: string; readonly texts: readonly string[]; readonly flag: boolean };

export type Flags<O extends Options> = {
  readonly values: { readonly [K in keyof O]?: Value[O[K]] };
  readonly rest: readonly string[];
};

/** `most` is how many positional arguments the command takes. */
export function readFlags<const O extends Options>(args: readonly string[], options: O, most = 0): Flags<O> {
  const types = Object.entries(options).map(([name, kind]) => [
    name,
    { type: kind === "flag" ? ("boolean" as const) : ("string" as const), multiple: kind === "texts" },
  ]);
  for (const arg of args) {
    if (arg === "--") break;
    const name = /^--?([^=]*)/.exec(arg)?.[1];
    if (name === undefined || name === "" || name in options) continue;
    const near = nearest(name, Object.keys(options));
    throw new UsageFault(`unknown option "${arg}"${near === undefined ? "" : `, did you mean "--${near}"?`}`);
  }
  try {
    const parsed = parseArgs({ args: [...args], options: Object.fromEntries(types), allowPositionals: true });
    const extra = parsed.positionals[most];
    if (extra !== undefined) throw new UsageFault(`unexpected argument "${extra}"`);
    return { values: parsed.values as Flags<O>["values"], rest: parsed.positionals };
  } catch (cause) {
    if (cause instanceof UsageFault) throw cause;
    throw new UsageFault(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
