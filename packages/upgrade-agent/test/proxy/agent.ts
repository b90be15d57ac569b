/** Stands in for an agent: supervises one proxy until it is killed. Its only argument is the request, as JSON. */
import { createProxySupervisor, type ProxyRequest } from "../../proxy/index.ts";
import { withoutInstrumentation } from "./stage.ts";

withoutInstrumentation();

interface Orders {
  readonly runDirectory: string;
  readonly logDirectory: string;
  readonly request: ProxyRequest;
}

const { request, ...directories } = JSON.parse(process.argv[2] ?? "") as Orders;
const supervisor = createProxySupervisor(directories);
await supervisor.ensure(request);
process.stdout.write("ready\n");
setInterval(() => undefined, 1000);
