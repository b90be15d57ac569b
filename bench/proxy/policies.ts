/**
 * The module that the proxy process loads, as a release would bring it. The service's name says which policy it is
 * started for, since a module is told nothing else.
 */
import type {
  HttpReply,
  HttpRequest,
  ProxyFactory,
  ProxyHandlers,
  Toolkit,
} from "@version-manager/app-proxy";

/** Everything to the newest version and back, unread: what a proxy costs that has no opinion. */
const passThrough: ProxyHandlers = {
  handleRequest(_version, buffer, connection) {
    const bytes = buffer.read();
    connection.enqueue(connection.versions().max as number, bytes);
    return bytes.length;
  },
  handleReply(_version, buffer, connection) {
    const bytes = buffer.read();
    connection.enqueueClient(bytes);
    return bytes.length;
  },
};

/** Clients speak the language of version 1; version 2 wants another path and replies with one header more. */
const translation = (toolkit: Toolkit) =>
  toolkit.translateSteps<HttpRequest, HttpReply>(1, {
    2: {
      requestUp: (request) => ({ ...request, target: `/v2${request.target}` }),
      replyDown: (reply) => ({ ...reply, headers: [...reply.headers, ["X-Version", "1"]] }),
    },
  });

/** All clients ask for the same with GET, so that every contender carries the same bytes; here a GET may be a write. */
const POLICIES = {
  one: (toolkit) => toolkit.createHttpProxy(),
  pass: () => passThrough,
  "write-all": (toolkit) =>
    toolkit.createHttpProxy({ classify: ({ target }) => ({ kind: "write", key: target }) }),
  newest: (toolkit) => toolkit.createHttpProxy({ reads: "newest-then-older" }),
  first: (toolkit) => toolkit.createHttpProxy({ reads: "first" }),
  longest: (toolkit) => toolkit.createHttpProxy({ reads: "longest" }),
  translate: (toolkit) => toolkit.createHttpProxy({ ...translation(toolkit) }),
  shadow: (toolkit) => toolkit.createHttpProxy({ shadow: {} }),
} satisfies Record<string, (toolkit: Toolkit) => ProxyHandlers>;

export type PolicyName = keyof typeof POLICIES;

const factory: ProxyFactory = (toolkit, { service }) => {
  const policy = POLICIES[service as PolicyName];
  if (policy === undefined) throw new RangeError(`There is no policy ${service}.`);
  return policy(toolkit);
};

export default factory;
