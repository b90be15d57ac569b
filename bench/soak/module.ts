/** The module that the proxy process loads. The service's name says which one it is. */
import type { ProxyFactory, ProxyHandlers, Toolkit } from "@version-manager/app-proxy";

/** Keeps what it should let go of, a little per connection: to prove that the soak finds that. */
function leaky(toolkit: Toolkit): ProxyHandlers {
  const kept: unknown[] = [];
  const proxy = toolkit.createHttpProxy();
  return {
    ...proxy,
    closed(connection) {
      kept.push(connection);
      proxy.closed?.(connection);
    },
  };
}

const factory: ProxyFactory = (toolkit, { service }) =>
  service === "leaky" ? leaky(toolkit) : toolkit.createHttpProxy({ sickVersions: "strict" });

export default factory;
