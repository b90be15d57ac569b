/** Every bound of the gossip core, with its unit and what raising it costs. */
import type { BucketRate } from "./bucket.ts";

export interface GossipLimits {
  /** Facts remembered per peer. Memory is about 200 bytes per fact, times the peers below. */
  readonly factsPerPeerMax: number;
  /** Managed peers of which something is remembered at a time. Direct marks go to all, however many. */
  readonly managedPeersMax: number;
  /** Peers remembered that nobody vouched for. They share one budget, so a flood of forged ones costs only this. */
  readonly strangersMax: number;
  /** News told to the agent per peer. */
  readonly peerRate: BucketRate;
  /** News told to the agent about all managed peers together. */
  readonly managedRate: BucketRate;
  /** News told to the agent about all strangers together. */
  readonly strangersRate: BucketRate;
  /** A fact that is still heard is told again after this long, so that an agent that failed gets another chance. */
  readonly reannounceMs: number;
  /** Mean time between two advertisements on the marks of a service; the real one varies by a half. */
  readonly rotateMs: number;
  /** Time between two direct marks of a service, each to one peer. */
  readonly exchangeMs: number;
  /** Direct marks sent at once, each to another peer, when a service has something new to say. */
  readonly newsFanout: number;
  /** Time between two notices to a peer that it runs what is retired here. */
  readonly noticeMs: number;
  /** Such notices to all peers together: the bound on what forged senders make this node send. */
  readonly noticeRate: BucketRate;
}

export const DEFAULT_GOSSIP_LIMITS: GossipLimits = {
  factsPerPeerMax: 32,
  managedPeersMax: 2048,
  strangersMax: 256,
  peerRate: { burst: 16, perSecond: 2 },
  managedRate: { burst: 256, perSecond: 64 },
  strangersRate: { burst: 32, perSecond: 8 },
  reannounceMs: 60_000,
  rotateMs: 500,
  exchangeMs: 2_000,
  newsFanout: 3,
  noticeMs: 2_000,
  noticeRate: { burst: 32, perSecond: 16 },
};
