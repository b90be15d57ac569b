/** Which suites there are. */
import { globSync } from "node:fs";

export type Suite = {
  readonly name: string;
  readonly describe: string;
} & (
  | { readonly kind: "check"; readonly command: readonly string[] }
  | {
      readonly kind: "tap";
      readonly ending: string;
      /** Files at a time; some wait for others. Namespaces and domains are shared by the machine: one by one. */
      readonly jobs: number;
      /** Seconds without news after which a file counts as hung. */
      readonly timeoutS: number;
      /** How many files that failed are tried once more, alone. */
      readonly secondTries?: number;
      /** Too long for every run: only when its name, or a file of it, is asked for. */
      readonly onDemand?: boolean;
    }
);

export const suites: readonly Suite[] = [
  {
    name: "lint",
    kind: "check",
    describe: "types, floating promises, boundaries between packages",
    command: ["oxlint", "--type-aware", "--deny-warnings"],
  },
  {
    name: "types",
    kind: "check",
    describe: "types of the tests",
    command: ["tsc", "--project", "tsconfig.test.json"],
  },
  { name: "format", kind: "check", describe: "formatting", command: ["prettier", "--check", "."] },
  { name: "deadcode", kind: "check", describe: "unused files, exports, dependencies", command: ["knip"] },
  { name: "unit", kind: "tap", describe: "no root, no domains", ending: ".test.ts", jobs: 6, timeoutS: 120 },
  {
    name: "integration",
    kind: "tap",
    describe: "namespaces, eBPF, domains, whole upgrades; as root",
    ending: ".integration.ts",
    jobs: 1,
    timeoutS: 900,
    secondTries: 2,
  },
  {
    name: "long",
    kind: "tap",
    describe: "as integration, but ten minutes and more each; only when asked for",
    ending: ".long.ts",
    jobs: 1,
    timeoutS: 3_600,
    onDemand: true,
  },
];

/** Test files of the repository with this ending, sorted. */
export function findFiles(ending: string): string[] {
  const found = ["packages/*", "examples", "bench", "scripts/suites"].flatMap((root) =>
    globSync(`${root}/test/**/*${ending}`, { exclude: (path) => path.includes("node_modules") }),
  );
  return found.toSorted();
}
