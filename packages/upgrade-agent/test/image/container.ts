/** A container by plain `unshare`, with its ids shifted as libvirt does it: the least that shows that a root boots. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, closeSync, openSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ip, leadTo, removeLink } from "./link.ts";
import { idCount, idShift } from "../../image/index.ts";

export interface Container {
  readonly address: string;
  console(): string;
  /** SIGTERM to process 1, as a stop of the container sends it. */
  terminate(): void;
  /** Exit status, or name of the signal, of process 1's keeper. */
  readonly ended: Promise<number | string>;
  remove(): Promise<void>;
}

/** `index` keeps the links of several containers apart. Needs root. Links are named `vmim-…`. */
export async function startContainer(options: {
  root: string;
  directory: string;
  authorizedKey: string;
  index: number;
}): Promise<Container> {
  const address = `10.99.7.${options.index}`;
  const mac = `52:54:00:76:6d:1${options.index}`;
  const [host, guest] = [`vmim-h${options.index}`, `vmim-g${options.index}`];
  const log = join(options.directory, `console-${options.index}.log`);
  writeFileSync(log, "");
  chownSync(log, idShift, idShift);
  ip(`link add ${host} type veth peer name ${guest} address ${mac}`);
  leadTo(address, mac, host);
  const output = openSync(log, "a");
  const become = ["--reuid", "0", "--regid", "0", "--clear-groups"];
  const script = inside(options.root, address, mac, options.authorizedKey);
  const keeper = spawn(
    "unshare",
    [
      ["--user", "--keep-caps", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child"],
      ["sh", "-c", 'read go; exec setpriv "$@"', "sh", ...become, "sh", "-c", script],
    ].flat(),
    { stdio: ["pipe", output, output] },
  );
  closeSync(output);
  const ended = once(keeper, "close").then(([code, signal]) => (code ?? signal) as number | string);
  const first = await firstProcess(Number(keeper.pid));
  writeFileSync(`/proc/${first}/uid_map`, `0 ${idShift} ${idCount}`);
  writeFileSync(`/proc/${first}/gid_map`, `0 ${idShift} ${idCount}`);
  ip(`link set ${guest} netns ${first}`);
  keeper.stdin?.end("go\n");
  return {
    address,
    ended,
    console: () => readFileSync(log, "utf8"),
    terminate: () => void process.kill(first, "SIGTERM"),
    remove: async () => {
      keeper.kill("SIGKILL");
      await ended;
      removeLink(host);
    },
  };
}

/** The part that libvirt plays: what a container finds mounted, and its environment. */
function inside(root: string, address: string, mac: string, key: string): string {
  const facts = {
    VM_HOSTNAME: "vmim-c",
    VM_ADDRESS: address,
    VM_GATEWAY: "169.254.1.1",
    VM_ADDRESS6: "fd10:99::7",
    VM_GATEWAY6: "fe80::1",
    VM_MTU: "1484",
    VM_MAC: mac,
    VM_PORTS: "40002-50001",
    VM_SERVICE: "kv",
    VM_VERSION: "7",
    VM_KEY: Buffer.from(key).toString("base64"),
  };
  const environment = Object.entries(facts).map(([name, value]) => `${name}=${value}`);
  return `set -e; cd ${root}
    mount --make-rprivate /; mount -t proc proc proc; mount -t sysfs -o ro sysfs sys; mount -t tmpfs -o mode=755 tmpfs dev
    for node in null zero full random urandom tty; do touch dev/$node; mount --bind /dev/$node dev/$node; done
    exec chroot . /usr/bin/env -i ${environment.join(" ")} /sbin/vm-init`;
}

/** unshare forks once; its child is process 1 of the container and waits for a line. */
async function firstProcess(keeper: number): Promise<number> {
  for (let tries = 0; tries < 500; tries += 1) {
    const task = `/proc/${keeper}/task/${keeper}/children`;
    const children = readFileSync(task, "utf8").trim();
    if (children !== "" && inOtherNamespace(Number(children))) return Number(children);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("unshare started nothing");
}

function inOtherNamespace(pid: number): boolean {
  return (
    readdirSync(`/proc/${pid}/ns`).length > 0 &&
    statSync(`/proc/${pid}/ns/user`).ino !== statSync("/proc/self/ns/user").ino
  );
}
