/** A program that is an MCP server, as it is to be started. */
export type Program = {
  /** The connection's name. */
  readonly name: string;
  readonly command: readonly string[];
  readonly directory: string;
  /** Beside PATH, HOME and LANG. */
  readonly environment: Readonly<Record<string, string>>;
  /** How many may run at once. */
  readonly children: number;
  /** Address space of each process, in MB. */
  readonly memoryMb?: number;
  /** Seconds without a request after which it is ended. */
  readonly idleSeconds: number;
};
