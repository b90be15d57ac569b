import t from "tap";
import { layoutOf, nodeLayout } from "../../layout.ts";
import { planClient, planNode, planWire, shaping } from "../../wire/plan.ts";

const layout = layoutOf("a", 2);

void t.test("nothing is ever made in the host's namespace, except the namespaces themselves", (t) => {
  const commands = [
    ...planWire(layout),
    ...layout.nodes.flatMap((node) => planNode(layout, node, 100)),
    ...planClient(layout, 100),
  ];
  for (const command of commands) {
    const inside = command[1] === "-n" && (command[2] ?? "").startsWith("vmt-a-");
    t.ok(inside || command.slice(0, 3).join(" ") === "ip netns add", command.join(" "));
  }
  t.end();
});

void t.test("IPv6 is there when it is asked for", (t) => {
  const [node = nodeLayout("a", 1)] = layout.nodes;
  const added = (hasIpv6: boolean): string[] =>
    [...planNode(layout, node, 100, hasIpv6), ...planClient(layout, 100, hasIpv6)]
      .filter((command) => command.includes("address"))
      .map((command) => command[5] ?? "");
  t.strictSame(added(false), ["10.77.0.1/24", "10.77.0.100/24"]);
  t.strictSame(added(true), ["10.77.0.1/24", "fd10:77::1/64", "10.77.0.100/24", "fd10:77::100/64"]);
  t.end();
});

void t.test("both ends of every link are shaped", (t) => {
  const shaped = planNode(layout, nodeLayout("a", 1), 100).filter(([file]) => file === "tc");
  t.strictSame(
    shaped.map((command) => [command[2], command[6]]),
    [
      ["vmt-a-wire", "n1"],
      ["vmt-a-n1", "uplink"],
    ],
  );
  t.end();
});

void t.test("the bucket holds a millisecond of the rate, and at least two GSO packets", (t) => {
  const burst = (rateMbit: number): number => {
    const command = shaping("x", "y", rateMbit);
    return Number(command[command.indexOf("burst") + 1]);
  };
  t.equal(burst(1), 131_072);
  t.equal(burst(10_000), 1_250_000);
  t.end();
});
