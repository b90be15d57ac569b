/** For those who run proxies: the server in-process, and what the proxy process is told and answers. */
export { createControl, type ControlOptions } from "./control.ts";
export { HOST_ENVIRONMENT } from "./environment.ts";
export { parseLaunch, type Launch, type ListenPort, type VersionEndpoints } from "./launch.ts";
export { ProxyServer, type ProxyServerOptions, type ProxyServerStatus } from "./proxy-server.ts";
