/**
 * Registration from inside a domain, as with portmap: `vm-register` posts to the gateway. Who asks is known by the
 * management address, which the data path gives to what comes out of a domain's own link and to nothing else.
 */
import { RouterError } from "../errors.ts";
import type { TabledDomain } from "./domain-table.ts";
import type { JsonRequest, Route } from "./json-server.ts";
import { parseRequest, PortSetSchema } from "./requests.ts";
import type { Router } from "./router.ts";

export function gatewayRoutes(router: Router): Route[] {
  const path = "/v1/ports";
  const domainOf = ({ remoteAddress }: JsonRequest): TabledDomain => {
    const domain = router.domainAt(remoteAddress);
    if (domain !== undefined) return domain;
    throw new RouterError(
      "E_NO_DOMAIN",
      `Only domains of this node register ports; ${remoteAddress} is none.`,
    );
  };
  const listed = (request: JsonRequest) => {
    const { service, version, ports } = domainOf(request);
    return { kind: "json", value: { service, version, ...ports } } as const;
  };
  const remove = async (request: JsonRequest) => {
    const domain = domainOf(request);
    const all = request.body === undefined;
    await router.unregisterPorts(domain, all ? domain.ports : parseRequest(PortSetSchema, request.body));
    return listed(request);
  };
  return [
    { method: "GET", path, answer: listed },
    {
      method: "POST",
      path,
      answer: async (request) => {
        await router.registerPorts(domainOf(request), parseRequest(PortSetSchema, request.body));
        return listed(request);
      },
    },
    { method: "DELETE", path, answer: remove },
    // For clients such as busybox's wget, which have no other methods than GET and POST.
    { method: "POST", path: `${path}/remove`, answer: remove },
  ];
}
