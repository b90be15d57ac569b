/** The control API on the unix socket: each call of `RouterControl`, the news and the metrics, as routes. */
import type { VersionKey } from "../control/contract.ts";
import type { JsonRequest, Reply, Route } from "./json-server.ts";
import type { NewsFeed } from "./news-feed.ts";
import {
  AdvertisementsSchema,
  AttachSchema,
  ClientPathSchema,
  FlowFilterSchema,
  parseRequest,
  PeersSchema,
  PolicySchema,
  PortSetSchema,
  ServiceName,
  TraceFilterSchema,
  VersionNumber,
} from "./requests.ts";
import type { Router } from "./router.ts";
import type { TraceHub } from "./trace-hub.ts";

export interface ControlParts {
  readonly router: Router;
  readonly news: NewsFeed;
  readonly tracers: TraceHub;
  readonly metrics: () => Promise<string>;
}

export function controlRoutes({ router, news, tracers, metrics }: ControlParts): Route[] {
  return [
    { method: "GET", path: "/v1/status", answer: async () => json(await router.status()) },
    ...domainRoutes(router),
    ...serviceRoutes(router),
    ...viewRoutes(router, tracers),
    {
      method: "PUT",
      path: "/v1/peers",
      answer: async (request) => json(await router.setManagedPeers(parseRequest(PeersSchema, request.body))),
    },
    {
      method: "GET",
      path: "/v1/events",
      answer: ({ signal }) => ({ kind: "lines", values: news.stream(() => router.history(), signal) }),
    },
    {
      method: "GET",
      path: "/metrics",
      answer: async () => ({
        kind: "text",
        contentType: "text/plain; version=0.0.4; charset=utf-8",
        text: await metrics(),
      }),
    },
  ];
}

function domainRoutes(router: Router): Route[] {
  const domain = "/v1/domains/:service/:version";
  return [
    {
      method: "PUT",
      path: domain,
      answer: async (request) =>
        json(await router.attachDomain({ ...keyOf(request), ...parseRequest(AttachSchema, request.body) })),
    },
    {
      method: "DELETE",
      path: domain,
      answer: async (request) => json(await router.detachDomain(keyOf(request))),
    },
    {
      method: "POST",
      path: `${domain}/ports`,
      answer: async (request) =>
        json(await router.registerPorts(keyOf(request), parseRequest(PortSetSchema, request.body))),
    },
    {
      method: "DELETE",
      path: `${domain}/ports`,
      answer: async (request) =>
        json(await router.unregisterPorts(keyOf(request), parseRequest(PortSetSchema, request.body))),
    },
    {
      method: "GET",
      path: `${domain}/connections`,
      answer: async (request) => json(await router.directConnections(keyOf(request))),
    },
    {
      method: "DELETE",
      path: `${domain}/connections`,
      answer: async (request) => json(await router.resetDirectConnections(keyOf(request))),
    },
  ];
}

/** What an operator looks at. Filters come in the body: they are as strict as any request. */
function viewRoutes(router: Router, tracers: TraceHub): Route[] {
  return [
    {
      method: "POST",
      path: "/v1/flows",
      answer: async ({ body }) => json(await router.flows(parseRequest(FlowFilterSchema, body ?? {}))),
    },
    {
      method: "POST",
      path: "/v1/trace",
      answer: ({ body, signal }) => ({
        kind: "lines",
        values: tracers.open(parseRequest(TraceFilterSchema, body ?? {}), signal),
      }),
    },
    {
      method: "GET",
      path: "/v1/peer-counters",
      answer: async () => json(await router.peerCounters()),
    },
  ];
}

function serviceRoutes(router: Router): Route[] {
  const service = "/v1/services/:service";
  return [
    {
      method: "PUT",
      path: `${service}/client-path`,
      answer: async (request) =>
        json(await router.setClientPath(serviceOf(request), parseRequest(ClientPathSchema, request.body))),
    },
    {
      method: "PUT",
      path: `${service}/policy`,
      answer: async (request) =>
        json(await router.setPolicy(serviceOf(request), parseRequest(PolicySchema, request.body))),
    },
    {
      method: "PUT",
      path: `${service}/advertisements`,
      answer: async (request) =>
        json(
          await router.setAdvertisements(
            serviceOf(request),
            parseRequest(AdvertisementsSchema, request.body),
          ),
        ),
    },
  ];
}

function json(value: unknown): Reply {
  return { kind: "json", value };
}

function serviceOf({ params }: JsonRequest): string {
  return parseRequest(ServiceName, params["service"]);
}

function keyOf(request: JsonRequest): VersionKey {
  const version = request.params["version"] ?? "";
  // `Number` also takes spaces, signs and hex; the API has one spelling per version.
  const digits = /^[1-9][0-9]{0,8}$/.test(version) ? Number(version) : version;
  return { service: serviceOf(request), version: parseRequest(VersionNumber, digits) };
}
