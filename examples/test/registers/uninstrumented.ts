/**
 * tap makes every Node process that a test starts, and what those start, load its instrumentation, by the environment. A
 * node's agent and proxies are a user's: an instrumented proxy, which may read next to nothing, does not start at all.
 */
import { createRequire } from "node:module";

interface SpawnOptions {
  env: Record<string, string>;
}

export function spawnUninstrumented(): void {
  const { addListener } = createRequire(import.meta.url)("process-on-spawn") as {
    readonly addListener: (listener: (options: SpawnOptions) => void) => void;
  };
  addListener((options) => {
    options.env = Object.fromEntries(
      Object.entries(options.env).filter(([name]) => name !== "NODE_OPTIONS" && !name.startsWith("_TAPJS")),
    );
  });
}
