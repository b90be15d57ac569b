/** The ports that the probes use; the router has them registered, proxies listen on them. */
export const IPERF = 5201;
export const UDP_ECHO = 5202;
export const TCP_ECHO = 5203;
export const HTTP = 8080;

export const TCP_PORTS = [IPERF, TCP_ECHO, HTTP] as const;
export const UDP_PORTS = [IPERF, UDP_ECHO] as const;
