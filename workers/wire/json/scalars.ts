/** What a JSON value says, flat enough for a policy: each scalar as `path.to.it=value`. */
import type { Json } from "./strict.ts";

const SCALARS_MAX = 1_000;
const LETTERS_MAX = 2_000;

/** `all` is false when there were more, or longer ones: then what is not there proves nothing. */
export function scalarsOf(value: Json): { readonly scalars: readonly string[]; readonly all: boolean } {
  const scalars: string[] = [];
  let all = true;
  const visit = (at: string, one: Json): void => {
    if (typeof one === "object" && one !== null) {
      for (const [name, inner] of Object.entries(one)) visit(at === "" ? name : `${at}.${name}`, inner);
      return;
    }
    const text = `${at}=${String(one)}`;
    if (scalars.length >= SCALARS_MAX || text.length > LETTERS_MAX) all = false;
    if (scalars.length < SCALARS_MAX) scalars.push(text.slice(0, LETTERS_MAX));
  };
  visit("", value);
  return { scalars: [...new Set(scalars)], all };
}
