/** `steno serve` with the bundle of its first argument: a program, so that tests can kill it. */
import { serve } from "#scripts/serve/serve.ts";

const [dist, ...args] = process.argv.slice(2);
process.exitCode = await serve(args, dist);
