/**
 * Asks the kernel by doing: every feature is used once inside a mount, PID, network and control-group namespace that
 * vanishes with the probe. Nothing outside is touched. Needs root.
 */
import { execFile } from "node:child_process";
import { FEATURES } from "./facts.ts";
import type { Feature, FeatureResults } from "./facts.ts";

/** Longest time for all features together, ms; usually it takes a tenth of a second. */
const PROBE_TIMEOUT_MS = 30_000;

/** What each feature is tried by, in this order: later ones use what earlier ones made. */
const TRIALS: readonly (readonly [feature: Feature, trial: string])[] = [
  ["veth", "ip link add probe0 type veth peer name probe1"],
  ["tap", "ip tuntap add dev probe2 mode tap"],
  ["bridge", "ip link add probe3 type bridge"],
  ["clsact", "tc qdisc add dev probe0 clsact"],
  ["tbf", "tc qdisc add dev probe1 root tbf rate 1mbit burst 10k latency 50ms"],
  // One classic instruction, "return 0": it goes through the same classifier and JIT as the data path's programs.
  ["bpf-program", "tc filter add dev probe0 ingress bpf bytecode '1,6 0 0 0'"],
  ["bpffs", "mount -t bpf bpf /mnt/bpf"],
  ["bpf-map", "bpftool map create /mnt/bpf/probe type hash key 4 value 4 entries 1 name vm_probe"],
  [
    "overlayfs",
    "mount -t overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/bpf",
  ],
  ["nftables", "nft add table inet vm_probe '{ chain c { type nat hook prerouting priority 0; } ; }'"],
];

/** One line per trial: `FEATURE ok`, or `FEATURE` and the first line of its complaint. */
function script(): string {
  const trials = TRIALS.map(
    ([feature, trial]) =>
      `if why=$(${trial} 2>&1); then echo ${feature} ok; else echo "${feature} $(echo "$why" | head -n 1)"; fi`,
  );
  const begin = [
    "mount -t tmpfs tmpfs /mnt",
    "mkdir /mnt/bpf /mnt/lower /mnt/upper /mnt/work",
    "echo namespaces ok",
  ];
  return [...begin, ...trials].join("\n");
}

/** What the script said; a feature that it did not come to is absent. */
export function parseFeatures(output: string): FeatureResults {
  const results: Partial<Record<Feature, string | undefined>> = {};
  for (const line of output.split("\n")) {
    const [name = "", ...words] = line.split(" ");
    const feature = FEATURES.find((candidate) => candidate === name);
    const text = words.join(" ").trim();
    if (feature !== undefined)
      results[feature] = text === "ok" ? undefined : text || "it failed without a word";
  }
  return results;
}

export function probeFeatures(): Promise<FeatureResults> {
  const isolate = [
    "--mount",
    "--propagation",
    "private",
    "--net",
    "--cgroup",
    "--pid",
    "--fork",
    "--kill-child",
  ];
  const limits = { timeout: PROBE_TIMEOUT_MS, killSignal: "SIGKILL" } as const;
  return new Promise((resolve) => {
    execFile(
      "unshare",
      [...isolate, "--mount-proc", "sh", "-ec", script()],
      limits,
      (error, stdout, stderr) => {
        const results = parseFeatures(stdout);
        const started = "namespaces" in results;
        resolve(started ? results : { namespaces: stderr.trim().split("\n")[0] ?? error?.message });
      },
    );
  });
}
