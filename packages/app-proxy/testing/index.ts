/** Tests of proxies without sockets: see docs/PROXY.md. */
export type { FakeServer, HarnessOptions, ServerSide } from "./contract.ts";
export {
  DatagramHarness,
  type DatagramClient,
  type DatagramFate,
  type DatagramHarnessOptions,
  type DatagramLeg,
} from "./datagrams.ts";
export { Harness } from "./harness.ts";
export type { HarnessClient } from "./harness-client.ts";
export { encodeFakeReply, httpServer, repliesIn, type FakeReply } from "./http.ts";
export { framedReplies, framedServer } from "./framed.ts";
