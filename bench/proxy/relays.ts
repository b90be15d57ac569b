/** Configurations of the other proxies: one worker, no logs, connections to the servers kept where they can do that. Pure. */

export interface RelayPlace {
  /** Where it keeps what it needs. */
  readonly home: string;
  /** `address:port` */
  readonly listen: string;
  /** `address:port` of each version. */
  readonly versions: readonly [string, string];
}

const nginx = (home: string, rest: string): string => `daemon off;
user root;
pid ${home}/nginx.pid;
error_log /dev/null crit;
${rest}`;

const EVENTS = "worker_processes 1;\nevents { worker_connections 16384; }";

export function nginxStream({ home, listen, versions }: RelayPlace): string {
  const server = `server { listen ${listen} backlog=16384; proxy_pass ${versions[0]}; tcp_nodelay on; }`;
  const load = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;";
  return nginx(home, `${load}\n${EVENTS}\nstream {\n  ${server}\n}\n`);
}

/** `mirrored`: each request also goes to version 2, whose answer is thrown away. */
export function nginxHttp({ home, listen, versions }: RelayPlace, mirrored: boolean): string {
  const upstream = (name: string, address: string): string =>
    `upstream ${name} { server ${address}; keepalive 8192; keepalive_requests 1000000000; }`;
  return nginx(
    home,
    `${EVENTS}
http {
  access_log off;
  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  ${upstream("one", versions[0])}
  ${upstream("two", versions[1])}
  server {
    listen ${listen} backlog=16384;
    location / { ${mirrored ? "mirror /mirror; " : ""}proxy_pass http://one; }
    location = /mirror { internal; proxy_pass http://two$request_uri; }
  }
}
`,
  );
}

export function haproxy({ listen, versions }: RelayPlace, mode: "tcp" | "http"): string {
  return `global
  nbthread 1
  maxconn 8192
defaults
  mode ${mode}
  timeout connect 5s
  timeout client 300s
  timeout server 300s
listen bench
  bind ${listen} backlog 16384
  server one ${versions[0]}${mode === "http" ? " pool-max-conn 8192" : ""}
`;
}
