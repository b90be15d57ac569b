import t from "tap";
import { parseAddress } from "../../../datapath/relay/endpoint.ts";
import { Routes } from "../../../datapath/relay/routes.ts";
import {
  emptyState,
  withDomain,
  withPorts,
  withService,
  withoutDomain,
} from "../../../datapath/relay/state.ts";
import type { RelayState } from "../../../datapath/relay/state.ts";

const entry = (slot: number, version: number, tag = 7) =>
  ({ slot, service: `s${tag}`, tag, version, link: "tap" }) as const;

function state(): RelayState {
  const domains = withDomain(withDomain(emptyState("10.0.0.1", false), entry(0, 1)), entry(5, 2));
  const first = withPorts(domains, 0, { peer: ["tcp/7000"], client: ["tcp/80", "udp/53"] });
  return { ...withPorts(first, 5, { peer: ["tcp/7000"], client: ["tcp/80"] }), managed: ["10.0.0.2"] };
}

t.test("a domain is known by its management address, its mark and its ports", async (t) => {
  const routes = new Routes(state());
  const second = routes.at(parseAddress("169.254.128.6"));
  t.match(second, { slot: 5, tag: 7, version: 2 });
  t.equal(routes.ofMark({ tag: 7, version: 2, advertisement: undefined }), second);
  t.equal(routes.ofMark({ tag: 8, version: 2, advertisement: undefined }), undefined, "another service");
  t.equal(routes.at(parseAddress("169.254.128.2")), undefined);
  if (second === undefined) return;
  t.ok(routes.isPeerPort(second, "tcp", 7000));
  t.notOk(routes.isPeerPort(second, "udp", 7000), "another protocol");
  t.notOk(routes.isClientPort(second, "udp", 53), "the other version's port");
  t.ok(routes.isAnyClientPort("udp", 53));
  t.equal(routes.tagOfPort("udp", 53), 7);
  t.equal(routes.tagOfPort("udp", 54), 0);
});

t.test("clients go where the path leads, if that version has the port", async (t) => {
  const to = (version: number) =>
    new Routes(withService(state(), { tag: 7, path: { kind: "direct", version } }));
  t.equal(new Routes(state()).clientDomain("tcp", 80), undefined, "no path");
  t.equal(to(2).clientDomain("tcp", 80)?.version, 2);
  t.equal(to(2).clientDomain("udp", 53), undefined, "only version 1 has it");
  t.equal(to(3).clientDomain("tcp", 80), undefined, "no such version here");
});

t.test("marks carry what the service advertises, else the version itself", async (t) => {
  const advertisement = { version: 9, status: "available" } as const;
  for (const [routes, expected] of [
    [new Routes(state()), { version: 1, status: "running" }],
    [new Routes(withService(state(), { tag: 7, advertisement })), advertisement],
  ] as const) {
    const domain = routes.inSlot(0);
    t.same(domain && routes.markOf(domain), { tag: 7, version: 1, advertisement: expected });
  }
});

t.test("a domain that is gone is nobody's, its service still known", async (t) => {
  const routes = new Routes(withoutDomain(state(), 5));
  t.equal(routes.ofMark({ tag: 7, version: 2, advertisement: undefined }), undefined);
  t.ok(routes.knowsService(7));
  t.notOk(routes.knowsService(8));
  t.ok(routes.isManaged(parseAddress("10.0.0.2")));
  t.notOk(routes.isManaged(parseAddress("10.0.0.3")));
});
