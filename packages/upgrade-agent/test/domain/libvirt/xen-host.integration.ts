/** Needs root. There is no Xen here, so only the host's side of a xen domain is tried, in a network namespace. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { containerSpec, machineSpec } from "../specs.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";

const MODULES = { host: "../../../domain/libvirt/xen-host.ts", xml: "../../../domain/xml/xen.ts" };

t.test("the bridge joins the link's guest end, made twice and removed twice", { skip }, async (t) => {
  const consoleLog = join(t.testdir(), "console.log");
  const spec = machineSpec("vmdom-xen", { identity: containerSpec("vmdom-xen").identity, consoleLog });
  const program = `
    import { execFileSync } from "node:child_process";
    import { xenHost } from ${JSON.stringify(new URL(MODULES.host, import.meta.url).href)};
    import { xenXml } from ${JSON.stringify(new URL(MODULES.xml, import.meta.url).href)};
    const ip = (...words) => execFileSync("ip", words, { encoding: "utf8" });
    const spec = ${JSON.stringify(spec)};
    ip("link", "add", "vmdomh0", "type", "veth", "peer", "name", "vmdomg0");
    await xenHost.prepare(spec);
    await xenHost.prepare(spec);
    console.log(ip("-o", "link", "show", "master", "xbvmdomg0"));
    await xenHost.release(xenXml(spec));
    await xenHost.release(xenXml(spec));
    console.log("left:", ip("-o", "link", "show", "type", "bridge"));
  `;
  const node = [process.execPath, "--input-type=module", "--eval", program];
  const output = execFileSync("unshare", ["--net", ...node], { encoding: "utf8" });
  t.match(output, /vmdomg0@vmdomh0/);
  t.match(output, /left:\s*$/);
  t.match(readFileSync(consoleLog, "utf8"), "/var/log/xen/console/guest-vmdom-xen.log");
});
