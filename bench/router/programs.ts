/** Reads what the measuring programs print. Pure; throws Error when the figure is not there. */
import type { PingPongFigures } from "./ping-pong.ts";

export interface IperfFigures {
  /** As the receiver counted. */
  readonly bitsPerSecond: number;
  readonly seconds: number;
}

/** `iperf3 --json` of the client; its receiver's sum comes from the server over the control connection. */
export function parseIperf(json: string): IperfFigures {
  const { end, error } = JSON.parse(json) as {
    readonly end?: { readonly sum_received?: { readonly bits_per_second: number; readonly seconds: number } };
    readonly error?: string;
  };
  if (error !== undefined) throw new Error(`iperf3: ${error}`);
  const received = end?.sum_received;
  if (received === undefined || !(received.bits_per_second > 0))
    throw new Error("iperf3: nothing was received");
  return { bitsPerSecond: received.bits_per_second, seconds: received.seconds };
}

/** Round trips in µs, of ping-pong.js; one datagram in a thousand may be lost. */
export function parsePingPong(json: string): { readonly p50: number; readonly p99: number } {
  const { trips, lost, p50, p99 } = JSON.parse(json) as Partial<PingPongFigures>;
  if (trips === undefined || lost === undefined || p50 === undefined || p99 === undefined)
    throw new Error(`ping-pong: no figures in ${json}`);
  if (lost * 1000 > trips) throw new Error(`ping-pong: ${lost} messages were lost, ${trips} answered`);
  return { p50, p99 };
}

/** Requests per second of `ab`; none of them may have failed. */
export function parseApacheBench(text: string): number {
  const figure = (label: string): string | undefined =>
    new RegExp(`^${label}: +([0-9.]+)`, "m").exec(text)?.[1];
  const [rate, failed] = [figure("Requests per second"), figure("Failed requests")];
  if (rate === undefined || failed !== "0") throw new Error(`ab: ${failed ?? "all"} requests failed`);
  return Number(rate);
}
