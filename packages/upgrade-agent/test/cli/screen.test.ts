import t from "tap";
import { comparisonScreen } from "../../cli/screen/comparison.ts";
import { fleetScreen } from "../../cli/screen/timeline.ts";
import { plain } from "../../cli/screen/style.ts";
import type { NodeDigest } from "../../fleet/view.ts";

const options = { now: 10_000, columns: 100, style: plain };

t.test("each node shows its stages over time", async (t) => {
  const nodes: NodeDigest[] = [
    {
      node: "n1",
      address: "10.77.0.1",
      revision: 1,
      versions: [
        {
          service: "kv",
          version: 2,
          stage: "running",
          enteredAtMs: 5e3,
          history: [
            {
              stage: "discovered",
              enteredAtMs: 0,
            },
            {
              stage: "running",
              enteredAtMs: 5e3,
            },
          ],
        },
      ],
    },
  ];
  const [header, line] = fleetScreen(nodes, options);
  t.match(header, /NODE .*STAGE/);
  t.match(line, /^n1 +10\.77\.0\.1 +kv 2 +running +v+█+$/);
  const bar = line?.split(/\s+/).at(-1) ?? "";
  t.equal(bar.replaceAll(/[^v]/g, "").length, 20);
});

t.test("a version that the proxy keeps out does not look well", async (t) => {
  const quarantine = { sinceMs: 0, detail: "3 writes in a row that others did" };
  const version = {
    service: "kv",
    version: 2,
    stage: "running",
    enteredAtMs: 0,
    history: [],
    quarantine,
  } as const;
  const nodes = [{ node: "n1", address: "10.77.0.1", revision: 1, versions: [version] }];
  t.match(fleetScreen(nodes, { now: 4_000, columns: 100, style: plain }).join("\n"), /running, kept out/);
});

t.test("texts of a proxy cannot write to the terminal", async (t) => {
  const rate = { count: 1, of: 2, rate: 0.5, low: 0.01, high: 0.99, atMost: 0.98 };
  const evil = "\u001b[2Jsum\n";
  const lines = comparisonScreen(
    {
      service: "kv",
      candidate: 2,
      faults: [],
      comparisons: [
        {
          baseline: 1,
          candidate: 2,
          confidence: 0.95,
          verdicts: { same: 1, noise: 0, different: 1, failed: 0, missing: 0 },
          compared: 2,
          dropped: 0,
          unanswered: 0,
          failedAt: { baseline: 0, candidate: 0 },
          difference: rate,
          chance: { ...rate, count: 0, of: 0 },
          chanceLost: 0,
          fields: [{ path: evil, verdict: "different", differing: rate, byChance: rate, proven: false }],
          overflow: 0,
          samples: [{ request: evil, atMs: 0, paths: [{ path: evil, baseline: evil, candidate: evil }] }],
        },
      ],
    },
    plain,
  );
  t.notOk(lines.join("").includes("\u001b"));
  t.ok(lines.every((line) => !line.includes("\n")));
  t.match(lines.join("\n"), /1\/2 50 % \(1 % … 99 %\)/);
  t.match(lines.join("\n"), /different, not proven/);
});

t.test("a download shows its progress and a fault its code", async (t) => {
  const version = { service: "kv", version: 2, enteredAtMs: 0, history: [] };
  const node = { address: "10.77.0.1", revision: 1 };
  const screen = fleetScreen(
    [
      {
        ...node,
        node: "n1",
        versions: [
          {
            ...version,
            stage: "downloading",
            progress: {
              receivedBytes: 1,
              totalBytes: 4,
            },
          },
        ],
      },
      {
        ...node,
        node: "n2",
        versions: [{ ...version, stage: "failed", fault: { code: "E_X", message: "" } }],
      },
    ],
    options,
  ).join("\n");
  t.match(screen, /downloading 25 %/);
  t.match(screen, /failed E_X/);
});

t.test("a fleet without versions says so", async (t) => {
  t.same(fleetScreen([], options), ["no version is known yet"]);
});
