/**
 * The router of the machine that guests of the compliance suite live on: the real `vm-router` where libvirtd runs, so that
 * their links bear its programs, and a host beyond its uplink that takes and gives all that comes. It needs libvirtd to
 * have a network namespace and mounts of its own, and goes with them.
 */
import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PrivateLibvirtd } from "@version-manager/testbed/libvirt";
import { probeKernelDataPath, RouterClient } from "@version-manager/version-router";
import type { DomainLink, LinkKind } from "@version-manager/version-router";
import { Actor } from "../../../../version-router/test/datapath/actor-handle.ts";
import type { DomainIdentity, DomainSpec } from "../../../domain/hypervisor.ts";
import { identity } from "../specs.ts";

const ROUTER = join(import.meta.dirname, "../../../../version-router/daemon/main.ts");
const TALKER = join(import.meta.dirname, "../../../../version-router/test/datapath/rate/talker.ts");
/** Of the host beyond the uplink; `work.sh` knows it. */
const BEYOND = "10.77.0.2";
const PORT = 9000;
/** Every interface of a router's begins so. */
const LINK_PREFIX = "vm-s";
/** Milliseconds for which it gives a stream: longer than any guest lives. */
const STREAM_MS = 3_600_000;
/** Milliseconds; a busy machine takes its time to start a program. */
const START_TIMEOUT_MS = 60_000;

/** Bytes that a guest has sent and received so far. */
export interface Passed {
  readonly sent: number;
  readonly received: number;
}

export class Router {
  readonly #enter: readonly string[];
  readonly #client: RouterClient;
  readonly #processes: { readonly daemon: ChildProcess; readonly beyond: Actor };
  #versions = 0;

  private constructor(
    enter: readonly string[],
    client: RouterClient,
    processes: { readonly daemon: ChildProcess; readonly beyond: Actor },
  ) {
    this.#enter = enter;
    this.#client = client;
    this.#processes = processes;
  }

  /** `directory`: of the test, for the router's files. Undefined where the kernel cannot carry the data path. */
  static async start(
    { enter }: Pick<PrivateLibvirtd, "enter">,
    directory: string,
  ): Promise<Router | undefined> {
    if (!(await probeKernelDataPath()).ok) return undefined;
    const beyond = await Actor.launch([
      ...enter,
      "unshare",
      "--net",
      process.execPath,
      "--no-warnings",
      TALKER,
    ]);
    const pid = await beyond.call<number>("pid");
    inside(
      enter,
      `[ "$(stat -f -c %T /sys/fs/bpf)" = bpf_fs ] || mount -t bpf bpf /sys/fs/bpf
       ip link set lo up
       ip link add uplink type veth peer name beyond netns ${pid}
       ip address add ${identity.link.address}/24 dev uplink
       ip link set uplink up
       nsenter --target ${pid} --net sh -ec '
         ip link set lo up; ip address add ${BEYOND}/24 dev beyond; ip link set beyond up'`,
    );
    await beyond.call("serve", PORT, STREAM_MS);
    const [config, socket] = [join(directory, "router.json"), join(directory, "router.sock")];
    const facts = { uplink: "uplink", serviceAddress: identity.link.address, dataPath: "kernel", socket };
    writeFileSync(config, JSON.stringify(facts));
    const [file, ...words] = [...enter, process.execPath, ROUTER, "--config", config];
    const daemon = spawn(file, words, { stdio: ["ignore", "ignore", "inherit"] });
    daemon.unref();
    const client = new RouterClient(socket, { patienceMs: START_TIMEOUT_MS });
    await client.status();
    return new Router(enter, client, { daemon, beyond });
  }

  /** An identity with a link of its own. */
  async identity(kind: LinkKind, networkMbitPerS: number | undefined): Promise<DomainIdentity> {
    const version = ++this.#versions;
    return { ...identity, version, link: await this.#attach({ version }, kind, networkMbitPerS) };
  }

  /** Whether a guest's link is of this router. */
  made({ identity: { link } }: DomainSpec): boolean {
    return link.interfaceName.startsWith(LINK_PREFIX);
  }

  /** Mends the link of a container that libvirt lost sight of: it went with the container. */
  async relink({ identity: { version, link } }: DomainSpec): Promise<void> {
    const { domains } = await this.#client.status();
    const rate = domains.find((domain) => domain.version === version)?.networkMbitPerS;
    await this.#attach({ version }, link.guestInterfaceName === undefined ? "tap" : "veth", rate);
  }

  /** Takes a guest's rate away. */
  async free(spec: DomainSpec): Promise<void> {
    const { version, link } = spec.identity;
    await this.#attach({ version }, link.guestInterfaceName === undefined ? "tap" : "veth", undefined);
  }

  /** Frames of a guest that were dropped because of its rate. */
  async dropped({ identity: { version } }: DomainSpec): Promise<number> {
    const { counters } = await this.#client.status();
    return counters
      .filter((counter) => counter.version === version && counter.verdict === "rate_exceeded")
      .reduce((sum, { packets }) => sum + packets, 0);
  }

  /** What left by the uplink, where only one guest may talk at a time, and what its link has taken. */
  passed({ identity: { link } }: DomainSpec): Passed {
    const files = ["uplink", link.interfaceName].map((name) => `/sys/class/net/${name}/statistics/tx_bytes`);
    const [sent = NaN, received = NaN] = inside(this.#enter, `cat ${files.join(" ")}`)
      .split("\n")
      .map(Number);
    return { sent, received };
  }

  /** Links and programs go with their network namespace. */
  async stop(): Promise<void> {
    const { daemon, beyond } = this.#processes;
    daemon.kill();
    await beyond.kill();
  }

  #attach(
    { version }: { readonly version: number },
    kind: LinkKind,
    networkMbitPerS: number | undefined,
  ): Promise<DomainLink> {
    const limits = networkMbitPerS === undefined ? {} : { networkMbitPerS };
    return this.#client.attachDomain({ service: identity.service, version, kind, ...limits });
  }
}

function inside(enter: readonly string[], script: string): string {
  const [file, ...words] = [...enter, "sh", "-ec", script];
  return execFileSync(file, words, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
}
