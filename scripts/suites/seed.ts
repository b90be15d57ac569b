/** Which random cases a run of the tests tries. */
import { execFileSync } from "node:child_process";
import { randomInt } from "node:crypto";

/** Seeds of fast-check are signed 32-bit numbers; these are the positive ones. */
const SEED_MAX = 0x7fff_ffff;

/**
 * The seed that `--seed` names: a number, or `random`. Without it the commit chooses, so that two runs of one commit
 * try the same cases and every commit tries others; outside of git, chance does. Undefined when `word` is no seed.
 */
export function chooseSeed(word: string | undefined): number | undefined {
  if (word === undefined) return commitSeed() ?? randomInt(SEED_MAX);
  if (word === "random") return randomInt(SEED_MAX);
  const seed = Number(word);
  return /^\d{1,10}$/.test(word) && seed <= SEED_MAX ? seed : undefined;
}

function commitSeed(): number | undefined {
  try {
    const commit = execFileSync("git", ["rev-parse", "HEAD"], { encoding: "utf8", stdio: "pipe" });
    return Number.parseInt(commit.slice(0, 8), 16) & SEED_MAX;
  } catch {
    return undefined;
  }
}
