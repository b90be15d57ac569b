/** Both ends of one run of iperf3, each as its own JSON tells it. */
import { Running, runIn } from "./running.ts";

export const IPERF_PORT = 5201;

interface Stream {
  readonly local_host: string;
  readonly local_port: number;
  readonly remote_host: string;
  readonly remote_port: number;
}

interface Told {
  readonly start: { readonly cookie: string; readonly connected: readonly Stream[] };
  readonly end: { readonly sum_received?: { readonly bytes: number } };
}

export interface IperfRun {
  /** Random, chosen by the client, told to the server over the control connection. */
  readonly clientCookie: string;
  readonly serverCookie: string;
  /** `local remote` of each stream, sorted. */
  readonly clientStreams: readonly string[];
  /** The same as the server sees it: its remote, its local. */
  readonly serverStreams: readonly string[];
  readonly receivedBytes: number;
}

export async function iperf(
  from: string,
  to: string,
  address: string,
  mode: readonly string[],
): Promise<IperfRun> {
  const port = `${IPERF_PORT}`;
  const server = await Running.server(to, "tcp", IPERF_PORT, "iperf3", "-s", "-1", "-J", "-p", port);
  try {
    const client = JSON.parse(
      await runIn(from, "iperf3", "-c", address, "-p", port, "-J", "-t", "1", ...mode),
    ) as Told;
    await server.end();
    const told = JSON.parse(server.output) as Told;
    return {
      clientCookie: client.start.cookie,
      serverCookie: told.start.cookie,
      clientStreams: client.start.connected
        .map((each) => `${each.local_host}:${each.local_port} ${each.remote_host}:${each.remote_port}`)
        .toSorted(),
      serverStreams: told.start.connected
        .map((each) => `${each.remote_host}:${each.remote_port} ${each.local_host}:${each.local_port}`)
        .toSorted(),
      receivedBytes: client.end.sum_received?.bytes ?? 0,
    };
  } finally {
    await server.kill();
  }
}
