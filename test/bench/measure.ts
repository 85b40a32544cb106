// What Linux knows of a process, and how numbers are summed up and printed.
import { readdirSync, readFileSync } from "node:fs";

/** Linux reports process times in ticks of 1/100 s. */
const TICK_US = 10_000;

/** CPU time that these processes have used so far, user and kernel, in microseconds. */
export function cpuOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuOfOne(pid), 0);
}

function cpuOfOne(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // proc(5): utime and stime are fields 14 and 15; the name in field 2 may contain spaces.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

/** The most memory a process has had resident, in MB. */
export function peakMemoryOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Math.round((Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? Number.NaN) * 1024) / 1e6);
}

/** What a process has resident now, in MB. */
export function memoryOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Math.round((Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? Number.NaN) * 1024) / 1e6);
}

/** Processes whose command line names `path`, and their children: nginx's workers say only what they are. */
export function processesOf(path: string): number[] {
  const all = readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => {
      try {
        const command = readFileSync(`/proc/${entry}/cmdline`, "latin1");
        const stat = readFileSync(`/proc/${entry}/stat`, "latin1");
        const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
        return [{ pid: Number(entry), parent, named: command.includes(path) }];
      } catch {
        // It ended between the listing and the reading.
        return [];
      }
    });
  const named = new Set(all.filter((each) => each.named).map(({ pid }) => pid));
  return all.filter(({ pid, parent }) => named.has(pid) || named.has(parent)).map(({ pid }) => pid);
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export type Row = Readonly<Record<string, string | number>>;

const shown = (value: string | number): string =>
  typeof value === "string" ? value : value >= 100 ? value.toFixed(0) : value.toFixed(2);

/** A Markdown table: what is printed can be pasted into docs/benchmarks.md. */
export function table(title: string, rows: readonly Row[]): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cells = rows.map((row) => names.map((name) => shown(row[name] ?? "")));
  const widths = names.map((name, i) => Math.max(name.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(" | ")} |`;
  const rule = `|${widths.map((width, i) => (i === 0 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`;
  return [`### ${title}`, "", line(names), rule, ...cells.map(line), ""].join("\n");
}
