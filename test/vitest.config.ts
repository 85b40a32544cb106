import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

const root = new URL("..", import.meta.url).pathname;

/** No test is about how fast the machine is: what is waited for comes, or the test fails a minute later. */
const patient = { testTimeout: 60_000, hookTimeout: 60_000, expect: { poll: { timeout: 60_000 } } };

export default defineConfig({
  root,
  test: {
    // Most files wait, for nodes that start and for clocks, far more than they compute.
    maxWorkers: 3,
    projects: [
      {
        root,
        test: { name: "unit", include: ["test/*.test.ts", "test/unit/**/*.test.ts"], ...patient },
      },
      {
        root,
        plugins: [
          cloudflareTest({
            main: "./test/workerd/main.ts",
            miniflare: {
              compatibilityDate: "2026-11-01",
              compatibilityFlags: ["webcrypto_modern_algorithms", "enable_request_signal"],
              durableObjects: {
                SESSION: { className: "SessionObject", useSQLite: true },
                JOURNAL: { className: "JournalObject", useSQLite: true },
                BUDGET: { className: "BudgetObject", useSQLite: true },
                LEDGER: { className: "LedgerObject", useSQLite: true },
                APPROVAL: { className: "ApprovalObject", useSQLite: true },
                DIRECTORY: { className: "DirectoryObject", useSQLite: true },
              },
            },
          }),
        ],
        test: {
          name: "workerd",
          include: ["test/workerd/**/*.test.ts"],
          ...patient,
          // Its main is CommonJS that requires ES modules.
          deps: { optimizer: { ssr: { enabled: true, include: ["itty-durable", "itty-router"] } } },
        },
      },
      {
        root,
        test: {
          name: "conformance",
          include: ["test/conformance/**/*.test.ts"],
          ...patient,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
