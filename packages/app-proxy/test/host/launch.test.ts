import t from "tap";
import { faultsOfVersions, parseEndpoint, parseLaunch } from "../../host/launch.ts";

const GOOD = {
  service: "kv",
  module: "/m.js",
  control: { fd: 3 },
  listen: [{ port: "tcp/80", fd: 4 }],
  versions: [{ version: 1, endpoints: { "tcp/80": "169.254.128.1:80" } }],
};

t.test("a right description", async (t) => {
  t.same(parseLaunch(JSON.stringify(GOOD)), GOOD);
});

t.test("every fault is told at once", async (t) => {
  const bad = { ...GOOD, service: 5, listen: [], extra: 1, user: { uid: 0, gid: 5 }, connectionsMax: 0 };
  try {
    parseLaunch(JSON.stringify(bad));
    t.fail("it was taken");
  } catch (error) {
    t.match(error, { code: "E_LAUNCH" });
    for (const word of ["service", "listen", "extra", "user", "connectionsMax"]) t.match(String(error), word);
  }
  for (const text of ["", "5", "null", "{"]) t.throws(() => parseLaunch(text), { code: "E_LAUNCH" });
});

t.test("versions", async (t) => {
  t.same(faultsOfVersions(GOOD.versions), []);
  const faults = faultsOfVersions([
    { version: 0, endpoints: {} },
    { version: 2, endpoints: { "sctp/80": "a:1", "tcp/80": "nowhere" }, more: 1 },
    { version: 2, endpoints: {} },
    5,
  ]);
  t.equal(faults.length, 6, faults.join("; "));
  t.equal(faultsOfVersions({}).length, 1);
});

t.test("endpoints", async (t) => {
  t.same(parseEndpoint("169.254.128.1:80"), { host: "169.254.128.1", port: 80 });
  t.same(parseEndpoint("[fe80::1]:80"), { host: "fe80::1", port: 80 });
  for (const wrong of ["", "a", "a:", ":80", "a:0", "a:65536", "a b:80", "a:80:80", 5]) {
    t.equal(parseEndpoint(wrong), undefined, String(wrong));
  }
});
