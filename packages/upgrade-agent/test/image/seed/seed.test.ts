/** The NoCloud disk: read back by other people's programs, and golden to the byte. */
import { createHash } from "node:crypto";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { iso } from "../../../image/seed/iso.ts";
import { noCloudFiles, seedLabel } from "../../../image/seed/nocloud.ts";
import { identity } from "../../domain/specs.ts";

const files = [
  { name: "meta-data", contents: Buffer.from("one\n") },
  { name: "network-config", contents: Buffer.alloc(5_000, "x") },
  { name: "empty", contents: Buffer.alloc(0) },
];

t.test("the disk is golden", async (t) => {
  const image = iso("cidata", files);
  t.equal(image.length % 2048, 0);
  t.equal(image.toString("latin1", 16 * 2048, 16 * 2048 + 7), "\x01CD001\x01");
  t.equal(image.toString("latin1", 16 * 2048 + 40, 16 * 2048 + 46), "cidata");
  t.equal(image.toString("latin1", 17 * 2048 + 88, 17 * 2048 + 91), "%/E");
  t.equal(
    createHash("sha256").update(image).digest("hex"),
    "4cc5e742a039d28e7d9f8e78f227d3d025fc80d9fa773ff3099314dc2318b430",
  );
});

t.test("blkid finds the label by which cloud-init looks for it", async (t) => {
  const file = join(t.testdir(), "seed.iso");
  writeFileSync(file, iso(seedLabel, files));
  const { stdout, status } = spawnSync("blkid", ["-p", "-o", "export", file], { encoding: "utf8" });
  t.equal(status, 0);
  t.match(stdout, /^LABEL=cidata$/m);
  t.match(stdout, /^TYPE=iso9660$/m);
});

t.test("names, numbers and sizes beyond what fits are refused", async (t) => {
  const contents = Buffer.alloc(1);
  for (const wrong of [
    () => iso("cidata", [{ name: "a/b", contents }]),
    () => iso("cidata", [{ name: "", contents }]),
    () => iso("no blanks here", files),
    () =>
      iso(
        "cidata",
        Array.from({ length: 9 }, (_, at) => ({ name: `f${at}`, contents })),
      ),
    () => iso("cidata", [{ name: "big", contents: Buffer.alloc(16 * 1024 ** 2 + 1) }]),
  ])
    t.throws(wrong, { code: "E_IMAGE_FORMAT" });
});

t.test("what cloud-init is told", async (t) => {
  const told = new Map(
    noCloudFiles(identity, "i-1", "#!/bin/sh\n").map(({ name, contents }) => [
      name,
      Buffer.from(contents).toString(),
    ]),
  );
  t.same(JSON.parse(told.get("meta-data") ?? ""), { "instance-id": "i-1", "local-hostname": "n1-kv-2" });
  const [first, ...rest] = (told.get("user-data") ?? "").split("\n");
  t.equal(first, "#cloud-config");
  t.match(JSON.parse(rest.join("\n")), {
    disable_root: false,
    ssh_pwauth: false,
    ssh_authorized_keys: [identity.authorizedKey],
    users: [{ name: "root" }],
  });
  t.match(JSON.parse(told.get("network-config") ?? ""), {
    version: 2,
    ethernets: {
      eth0: {
        match: { macaddress: identity.link.mac },
        mtu: 1484,
        addresses: ["10.77.0.1/32"],
        routes: [{ to: "0.0.0.0/0", via: "169.254.1.1", "on-link": true }],
      },
    },
  });
  t.match(
    told.get("user-data"),
    "ip route replace 169.254.1.1/32",
    "the gateway is on the link, whatever the renderer made of it",
  );
});

t.test(
  "where the node has an IPv6 address, cloud-init is told that as well; elsewhere there is no IPv6",
  async (t) => {
    const toldOf = (link: typeof identity.link): Map<string, string> =>
      new Map(
        noCloudFiles({ ...identity, link }, "i-1", "#!/bin/sh\n").map(({ name, contents }) => [
          name,
          Buffer.from(contents).toString(),
        ]),
      );
    const told = toldOf({ ...identity.link, address6: "fd10:77::1", gateway6: "fe80::1" });
    t.match(JSON.parse(told.get("network-config") ?? ""), {
      ethernets: {
        eth0: {
          "link-local": ["ipv6"],
          addresses: ["10.77.0.1/32", "fd10:77::1/128"],
          routes: [{ to: "0.0.0.0/0" }, { to: "::/0", via: "fe80::1", "on-link": true }],
        },
      },
    });
    t.match(told.get("user-data"), "ip -6 route replace default via fe80::1");
    t.match(told.get("user-data"), "VM_ADDRESS6=fd10:77::1");
    t.notMatch(told.get("user-data"), 'disable_ipv6" 2>');
    t.match(toldOf(identity.link).get("user-data"), "disable_ipv6");
  },
);
