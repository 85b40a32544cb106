/** The same JSON with the members of every object in one order. */
import { isObject, type Json } from "./strict.ts";

export function ordered(json: Json): Json {
  if (Array.isArray(json)) return json.map(ordered);
  if (!isObject(json)) return json;
  const members = Object.entries(json).toSorted(([a], [b]) => (a < b ? -1 : Number(a > b)));
  return Object.fromEntries(members.map(([name, value]) => [name, ordered(value)]));
}
