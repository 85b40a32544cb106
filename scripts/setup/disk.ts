/** Files of a person's machine: read whole, replaced whole, and left as they are when anything is odd about them. */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";

export type Disk = {
  /** Undefined when there is none. Throws when it is no UTF-8, which could not be given back as it was. */
  read(path: string): string | undefined;
  /** Whole or not at all, with the mode and owner of what it replaces. Throws when that is not `before` any more. */
  replace(path: string, text: string, before: string | undefined, mode: number): void;
  /** Throws when it is not `before` any more. */
  remove(path: string, before: string): void;
  exists(path: string): boolean;
  makeDirectory(path: string): void;
  /** Leaves it when there is something in it. */
  removeDirectory(path: string): void;
};

export const NODE_DISK: Disk = {
  read,
  replace(path, text, before, mode) {
    unchanged(path, before);
    // A link stays one: what it leads to is replaced.
    const real = before === undefined ? path : realpathSync(path);
    const next = join(dirname(real), `.${basename(real)}.steno-${process.pid}`);
    try {
      writeFileSync(next, text, { mode, flag: "wx", flush: true });
      const old = before === undefined ? undefined : statSync(real);
      if (old && process.platform !== "win32") {
        if (old.uid !== statSync(next).uid || old.gid !== statSync(next).gid)
          chownSync(next, old.uid, old.gid);
        chmodSync(next, old.mode & 0o7777);
      } else chmodSync(next, mode);
      unchanged(path, before);
      renameSync(next, real);
    } catch (cause) {
      rmSync(next, { force: true });
      throw cause;
    }
  },
  remove(path, before) {
    unchanged(path, before);
    rmSync(path);
  },
  exists: existsSync,
  makeDirectory: (path) => mkdirSync(path),
  removeDirectory(path) {
    try {
      rmdirSync(path);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      // Somebody else keeps something there, or it is gone: nothing of ours.
      if (code !== "ENOTEMPTY" && code !== "EEXIST" && code !== "ENOENT") throw cause;
    }
  },
};

function read(path: string): string | undefined {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new Error(`${path} cannot be read`, { cause });
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new Error(`${path} is no UTF-8: it stays as it is`, { cause });
  }
}

function unchanged(path: string, before: string | undefined): void {
  if (read(path) !== before) throw new Error(`${path} was changed by somebody else a moment ago: try again`);
}
