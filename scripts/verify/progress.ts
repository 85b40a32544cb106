/** How far a long verification is, on a terminal: one line that is written over and, at the end, wiped out. */
import type { Progress } from "#durable/proof/verify/context.ts";

type Screen = { readonly isTTY?: boolean; write(text: string): unknown };

/** Before this nobody waits. */
const SILENT_MS = 700;
const EVERY_MS = 100;
const WIDTH = 24;

/** On anything but a terminal it says nothing. */
export function progressBar(
  screen: Screen = process.stderr,
  now: () => number = () => performance.now(),
): { readonly show: Progress; readonly wipe: () => void } {
  const began = now();
  let shown: number | undefined;
  return {
    show({ what, done, of }) {
      const at = now();
      if (screen.isTTY !== true || at - began < SILENT_MS) return;
      if (shown !== undefined && at - shown < EVERY_MS && done < of) return;
      shown = at;
      const share = of === 0 ? 1 : done / of;
      const filled = Math.round(share * WIDTH);
      const bar = `${"#".repeat(filled)}${".".repeat(WIDTH - filled)}`;
      const amount =
        what === "log" ? `${done} of ${of} entries` : `${megabytes(done)} of ${megabytes(of)} MB`;
      screen.write(`\r\u001b[K${what.padEnd(8)} ${bar} ${Math.floor(share * 100)} % ${amount}`);
    },
    wipe() {
      if (shown !== undefined) screen.write("\r\u001b[K");
    },
  };
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
