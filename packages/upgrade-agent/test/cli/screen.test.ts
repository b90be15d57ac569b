import t from "tap";
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
