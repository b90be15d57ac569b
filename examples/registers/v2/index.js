/** Serves registers by one protocol: `node index.js http|resp|udp PORT DIRECTORY`. SIGUSR2 drains, SIGTERM ends. */
import { serveHttp } from "./http.js";
import { Registers } from "./registers.js";
import { serveResp } from "./resp.js";
import { serveUdp } from "./udp.js";

const [protocol, port, directory] = process.argv.slice(2);
const serve = { http: serveHttp, resp: serveResp, udp: serveUdp }[protocol];
if (serve === undefined) throw new RangeError("usage: node index.js http|resp|udp PORT DIRECTORY");

const service = serve(new Registers(directory), Number(port));
process.on("SIGUSR2", () => service.drain());
process.on("SIGTERM", () => {
  service.close();
  process.exit(0);
});
