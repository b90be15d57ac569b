/**
 * Stands in for a node's router: clients' connections go where the path points when they open, and stay there. While
 * two versions run it points to an application proxy with the release's module.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import * as toolkit from "@version-manager/app-proxy";
import { ProxyServer } from "@version-manager/app-proxy/host";
import { releaseFile } from "./release-modules.ts";

type ProxyFactory = (tools: typeof toolkit) => toolkit.ProxyHandlers;

/** Clients come from another address than the proxy, which shares the host's 127.0.0.1 with the exports. */
const CLIENT_ADDRESS = "127.0.0.2";

export class ClientPath {
  readonly url: string;
  readonly #server: Server;
  readonly #proxy: ProxyServer;
  readonly #proxyEndpoint: string;
  readonly #open = new Map<Socket, string>();
  #target = "";

  private constructor(server: Server, proxy: ProxyServer, proxyEndpoint: string) {
    this.#server = server;
    this.#proxy = proxy;
    this.#proxyEndpoint = proxyEndpoint;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("connection", (client) => this.#forward(client));
  }

  static async open(): Promise<ClientPath> {
    const { default: factory } = (await import(releaseFile("v2", "proxy.js").href)) as {
      default: ProxyFactory;
    };
    const proxy = new ProxyServer({ handlers: factory(toolkit) });
    const { port } = await proxy.listen("tcp/80", { host: "127.0.0.1", port: 0 });
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new ClientPath(server, proxy, `127.0.0.1:${port}`);
  }

  toVersion(endpoint: string): void {
    this.#target = endpoint;
  }

  async toProxy(endpoints: Readonly<Record<number, string>>): Promise<void> {
    const versions = Object.entries(endpoints).map(([version, endpoint]) => ({
      version: Number(version),
      endpoints: { "tcp/80": endpoint },
    }));
    await this.#proxy.setVersions(versions);
    this.#target = this.#proxyEndpoint;
  }

  /** Resolves when no client's connection goes straight to this version any more. */
  async drained(endpoint: string): Promise<void> {
    while ([...this.#open.values()].includes(endpoint)) await sleep(20);
  }

  /** Resolves when no connection goes through the proxy any more. */
  async proxyDrained(): Promise<void> {
    await this.#proxy.drain(30_000);
  }

  close(): void {
    this.#server.close();
    this.#proxy.close();
    for (const client of this.#open.keys()) client.destroy();
  }

  #forward(client: Socket): void {
    const endpoint = this.#target;
    const [host = "", port] = endpoint.split(":");
    const server = connect({ host, port: Number(port), localAddress: CLIENT_ADDRESS, allowHalfOpen: true });
    this.#open.set(client, endpoint);
    const end = (): void => {
      client.destroy();
      server.destroy();
      this.#open.delete(client);
    };
    client.on("error", end).on("close", end).pipe(server);
    server.on("error", end).on("close", end).pipe(client);
  }
}
