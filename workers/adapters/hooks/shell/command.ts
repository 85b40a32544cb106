/** A command line as Bash would take it apart, for policies: what it runs, names and writes. Nothing is expanded or run. */
import { type Command, forEachChild, type ParsedScript, parse, type Redirect, type SyntaxNode } from "unbash";
import { hostsOf } from "./host.ts";
import { alternatives, isLiteral } from "./word.ts";

export type CommandLine = {
  /** False when Bash's grammar does not fit, or what runs is only known when it runs: then the rest is not all. */
  readonly parsed: boolean;
  /** By name, without the folder: also what `sudo`, `xargs`, `sh -c` and their like run. */
  readonly programs: readonly string[];
  readonly words: readonly string[];
  /** Files it writes by redirection. */
  readonly writes: readonly string[];
  /** Words that may be paths, as they stand there, and files it reads or writes by redirection. */
  readonly paths: readonly string[];
  readonly hosts: readonly string[];
  /** How often `git push` stands in it: what runs in a loop stands there once. */
  readonly pushes: number;
};

const LETTERS_MAX = 64 * 1024;
const WORDS_MAX = 1_000;
/** How deep scripts may lie in scripts. */
const DEPTH_MAX = 5;
/** How many commands are looked at: those that run others may be nested without end. */
const RUNS_MAX = 2_000;
/** Words after a program that runs another, any of which may be that other. */
const REACH = 12;

const SHELLS: ReadonlySet<string> = new Set(["sh", "bash", "dash", "zsh", "ksh", "ash", "su", "fish"]);
/** They run what their words say; where in these it begins depends on options that take values. */
const RUNNERS: ReadonlySet<string> = new Set(
  "sudo doas env nohup nice ionice time timeout stdbuf setsid xargs command builtin exec watch chroot unshare nsenter parallel busybox".split(
    " ",
  ),
);
const EXECS: ReadonlySet<string> = new Set(["-exec", "-execdir", "-ok", "-okdir"]);
/** What they run is text, read by the shell that is there already. */
const READERS: ReadonlySet<string> = new Set(["eval", "trap"]);
const WRITING: ReadonlySet<Redirect["operator"]> = new Set([">", ">>", ">|", "&>", "&>>", "<>", ">&"]);

export function readCommand(text: string): CommandLine {
  const reading = new Reading();
  if (text.length > LETTERS_MAX) reading.lose();
  else reading.script(text, 0);
  return reading.told();
}

type Spoken = { readonly text: string; readonly literal: boolean };

class Reading {
  #parsed = true;
  #runs = 0;
  readonly #programs = new Set<string>();
  readonly #words = new Set<string>();
  readonly #writes = new Set<string>();
  readonly #paths = new Set<string>();
  readonly #hosts = new Set<string>();
  readonly #pushes = new Set<Spoken>();

  lose(): void {
    this.#parsed = false;
  }

  told(): CommandLine {
    const sets = [this.#programs, this.#words, this.#writes, this.#paths, this.#hosts];
    if (sets.some(({ size }) => size > WORDS_MAX)) this.lose();
    const [programs = [], words = [], writes = [], paths = [], hosts = []] = sets.map((set) =>
      [...set].slice(0, WORDS_MAX),
    );
    return { parsed: this.#parsed, programs, words, writes, paths, hosts, pushes: this.#pushes.size };
  }

  script(text: string, depth: number): void {
    if (depth > DEPTH_MAX) this.lose();
    else this.#visit(parse(text), depth);
  }

  #visit(node: SyntaxNode, depth: number): void {
    switch (node.type) {
      case "Script":
        if ((node as ParsedScript).errors?.length) this.lose();
        break;
      case "Command":
        this.#command(node, depth);
        break;
      case "Redirect":
        this.#redirect(node);
        break;
      default:
        break;
    }
    forEachChild(node, (child) => this.#visit(child, depth));
  }

  #command({ name, suffix }: Command, depth: number): void {
    const spoken = [...(name ? [name] : []), ...suffix].flatMap((one): Spoken[] => {
      if (one.type === "Word") return alternatives(one).map((text) => ({ text, literal: isLiteral(one) }));
      return one.type === "Assignment" ? [{ text: one.text, literal: false }] : [];
    });
    for (const { text } of spoken) this.#words.add(text);
    this.#run(spoken, depth);
  }

  /** `spoken` begins with the program. */
  #run(spoken: readonly Spoken[], depth: number): void {
    const [first, ...rest] = spoken;
    if (!first) return;
    if (++this.#runs > RUNS_MAX) {
      this.lose();
      return;
    }
    if (!first.literal) this.lose();
    const program = first.text.slice(first.text.lastIndexOf("/") + 1);
    this.#programs.add(program);
    if (first.text.includes("/")) this.#paths.add(first.text);
    for (const { text } of rest) this.#name(text);
    for (const host of hostsOf(
      program,
      rest.map(({ text }) => text),
    ))
      this.#hosts.add(host);
    if (program === "git" && subcommandOf(rest) === "push") this.#pushes.add(first);
    if (SHELLS.has(program)) this.#shell(rest, depth);
    if (READERS.has(program)) this.#told(rest.map(({ text }) => text).join(" "), rest, depth);
    if (program === "env" && rest.some(({ text }) => /^(?:-\w*S|--split-string)/.test(text))) this.lose();
    if (RUNNERS.has(program)) this.#runner(rest, depth);
    for (const [i, { text }] of rest.entries()) if (EXECS.has(text)) this.#run(rest.slice(i + 1), depth);
  }

  /** `-c` and its script; without it a file to read, or what comes on standard input, which nobody knows. */
  #shell(rest: readonly Spoken[], depth: number): void {
    const at = rest.findIndex(({ text }) => /^-[A-Za-z]*c$/.test(text) || text === "--command");
    const script = rest[at + 1];
    if (at >= 0 && script) this.#told(script.text, [script], depth);
    else if (at >= 0 || rest.every(({ text }) => text.startsWith("-"))) this.lose();
  }

  #told(text: string, words: readonly Spoken[], depth: number): void {
    if (words.every(({ literal }) => literal)) this.script(text, depth + 1);
    else this.lose();
  }

  #runner(rest: readonly Spoken[], depth: number): void {
    if (depth > DEPTH_MAX) this.lose();
    else
      for (const [i, one] of rest.slice(0, REACH).entries())
        if (!one.text.startsWith("-") && !/^\w+=/.test(one.text)) this.#run(rest.slice(i), depth + 1);
  }

  #redirect({ operator, target }: Redirect): void {
    if (!target || (operator.includes("&") && /^\d+-?$|^-$/.test(target.value))) return;
    for (const text of alternatives(target)) {
      this.#paths.add(text);
      if (WRITING.has(operator)) this.#writes.add(text);
    }
  }

  /** A word, or what it says after `=` or `@`, may be a path. */
  #name(text: string): void {
    const value = text.startsWith("-") ? text.slice(text.indexOf("=") + 1) : text;
    const path = value.replace(/^@/, "");
    if (path !== "" && !path.startsWith("-") && !/^(?!file:)[a-z][a-z0-9+.-]*:\/\//i.test(path))
      this.#paths.add(path);
    const assigned = /^\w+=(.+)$/.exec(text)?.[1];
    if (assigned !== undefined) this.#paths.add(assigned);
  }
}

/** Options of `git` itself whose value is a word of its own. */
const VALUED: ReadonlySet<string> = new Set(
  "-C -c --git-dir --work-tree --namespace --super-prefix --config-env".split(" "),
);

function subcommandOf(words: readonly Spoken[]): string | undefined {
  for (let at = 0; at < words.length; at++) {
    const text = words[at]?.text ?? "";
    if (VALUED.has(text)) at += 1;
    else if (!text.startsWith("-")) return text;
  }
  return undefined;
}
