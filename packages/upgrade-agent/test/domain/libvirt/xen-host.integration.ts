/** Needs root. There is no Xen here, so only the host's side of a xen domain is tried, in a network namespace. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { containerSpec, machineSpec } from "../specs.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";

const MODULES = { host: "../../../domain/libvirt/xen-host.ts", xml: "../../../domain/xml/xen.ts" };

t.test("bridge and console are led to the domain's, twice, and removed twice", { skip }, async (t) => {
  const consoleLog = join(t.testdir({ "disk.qcow2": "" }), "console.log");
  const { identity } = containerSpec("vmdom-xen");
  const absent = machineSpec("vmdom-xen", { identity, consoleLog });
  const path = join(t.testdirName, "disk.qcow2");
  const spec = { ...absent, disk: { ...absent.disk, path } };
  const program = `
    import { execFileSync } from "node:child_process";
    import { appendFileSync, readdirSync, writeFileSync } from "node:fs";
    import { xenHost } from ${JSON.stringify(new URL(MODULES.host, import.meta.url).href)};
    import { xenXml } from ${JSON.stringify(new URL(MODULES.xml, import.meta.url).href)};
    const ip = (...words) => execFileSync("ip", words, { encoding: "utf8" });
    const spec = ${JSON.stringify(spec)};
    const consoles = "/var/log/xen/console";
    // As the router does, with the guest's address.
    ip("link", "add", "vmdomh0", "type", "veth", "peer", "name", "vmdomg0", "address", spec.identity.link.mac);
    const refused = await xenHost.prepare(${JSON.stringify(absent)}).catch((error) => error.code);
    console.log("without a disk:", refused, ip("-o", "link", "show", "type", "bridge").trim() + ".");
    await xenHost.prepare(spec);
    await xenHost.prepare(spec);
    console.log(ip("-o", "link", "show", "master", "xbvmdomg0"));
    console.log("the bridge takes:", ip("-o", "link", "show", "dev", "xbvmdomg0"));
    // As xenconsoled does.
    appendFileSync(consoles + "/guest-vmdom-xen.log", "guest: hello\\n");
    await xenHost.release(xenXml(spec));
    await xenHost.release(xenXml(spec));
    console.log("links left:", ip("-o", "link", "show", "type", "bridge").trim() + ".");
    console.log("consoles left:", readdirSync(consoles).join() + ".");
    writeFileSync(consoles + "/guest-vmdom-xen.log", "");
    await xenHost.prepare(spec);
    await xenHost.release(xenXml(spec));
    console.log("of others:", readdirSync(consoles).join());
  `;
  const node = [process.execPath, "--input-type=module", "--eval", program];
  const apart = ["--net", "--mount", "sh", "-ec", 'mount -t tmpfs tmpfs /var/log; exec "$@"', "sh"];
  const output = execFileSync("unshare", [...apart, ...node], { encoding: "utf8" });
  t.match(output, /^without a disk: E_DOMAIN \.$/m);
  t.match(output, /vmdomg0@vmdomh0/);
  t.notMatch(
    /the bridge takes:.*/.exec(output)?.[0] ?? identity.link.mac,
    identity.link.mac,
    "not the guest's packets",
  );
  t.match(output, /^links left: \.$/m);
  t.match(output, /^consoles left: \.$/m);
  t.match(output, /^of others: guest-vmdom-xen\.log$/m);
  t.match(readFileSync(consoleLog, "utf8"), /XENCONSOLED_TRACE=guest[^]*\nguest: hello\n/);
});
