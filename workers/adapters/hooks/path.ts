/** Paths as hooks name them, in one spelling. Links are not followed: the gateway does not see the disk. */
import type { Place } from "./event.ts";

const DRIVE = /^[A-Za-z]:[\\/]/;

/** Relative to the workspace where it lies in it, else from the root; `~` stays. Never with `..` or a leading `./`. */
export function pathOf(named: string, { base, roots }: Place): string {
  const path = slashed(named.replace(/^file:\/\//, ""));
  if (path.startsWith("~")) return straight(path);
  const whole = straight(isAbsolute(path) ? path : `${slashed(base)}/${path}`);
  for (const root of roots.map((one) => straight(slashed(one)))) {
    if (whole === root) return ".";
    if (root !== "" && whole.startsWith(root.endsWith("/") ? root : `${root}/`))
      return whole.slice(root.length).replace(/^\/+/, "");
  }
  return whole;
}

export const isWindows = ({ base, roots }: Place): boolean =>
  [base, ...roots].some((path) => DRIVE.test(path));

const isAbsolute = (path: string): boolean => path.startsWith("/") || DRIVE.test(path);

/** A backslash is a letter of a name everywhere but in a path of Windows. */
const slashed = (path: string): string =>
  DRIVE.test(path) || path.startsWith("\\\\") ? path.replaceAll("\\", "/") : path;

function straight(path: string): string {
  const kept: string[] = [];
  for (const step of path.split("/")) {
    if (step === "..") kept.pop();
    else if (step !== "" && step !== ".") kept.push(step);
  }
  return `${path.startsWith("/") ? "/" : ""}${kept.join("/")}`;
}
