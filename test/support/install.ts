// Makes sure that the real servers the tests and the bench talk to are installed: as root it installs Debian's
// packages without starting a daemon, otherwise it says which command an administrator has to run.
import { spawnSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";

const packages = [
  "age",
  "ceph-common",
  "ceph-mon",
  "ceph-osd",
  "chromium",
  "fcgiwrap",
  "git",
  "git-lfs",
  "gitolite3",
  "golang-go",
  "golang-golang-x-mod-dev",
  "jq",
  "nginx-light",
  "openssl",
  "radosgw",
  "wrk",
  "zstd",
] as const;

const policy = "/usr/sbin/policy-rc.d";
const install = ["install", "-y", "-q", "--no-install-recommends"];

/** The packages of the list that dpkg does not report as installed; undefined where there is no dpkg. */
function missingPackages(): string[] | undefined {
  const query = spawnSync("dpkg-query", ["-W", "-f", `\${Package} \${db:Status-Status}\\n`, ...packages], {
    encoding: "utf8",
  });
  if (query.error) return undefined;
  const installed = new Set(query.stdout.split("\n").filter((line) => line.endsWith(" installed")));
  return packages.filter((name) => !installed.has(`${name} installed`));
}

function apt(args: readonly string[]): boolean {
  const run = spawnSync("apt-get", ["-o", "DPkg::Lock::Timeout=300", ...args], {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
  return run.status === 0;
}

/** invoke-rc.d asks policy-rc.d before it starts anything; exit 101 is "forbidden by policy". */
function withoutStartingDaemons<T>(work: () => T): T {
  if (existsSync(policy)) return work();
  writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    return work();
  } finally {
    rmSync(policy, { force: true });
  }
}

function main(): number {
  const missing = missingPackages();
  if (missing?.length === 0) return 0;
  if (missing === undefined) {
    console.error(`The tests need these programs, by the names of Debian's packages: ${packages.join(" ")}`);
    return 1;
  }
  if (process.getuid?.() !== 0) {
    console.error("The tests run against real servers that are not installed here. As root:");
    console.error(`  apt-get update && apt-get ${install.join(" ")} ${missing.join(" ")}`);
    return 1;
  }
  console.error(`Installing ${missing.join(" ")}`);
  const done = withoutStartingDaemons(() => apt(["update", "-q"]) && apt([...install, ...missing]));
  const left = missingPackages() ?? [];
  if (done && left.length === 0) return 0;
  console.error(`apt-get did not install ${left.join(" ") || "everything"}; its messages are above.`);
  return 1;
}

process.exitCode = main();
