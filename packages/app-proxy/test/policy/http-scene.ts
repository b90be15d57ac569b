/** What the tests of the HTTP proxy share: a proxy over fake versions that note what reaches them. */
import { createHttpProxy, type HttpProxyOptions, type HttpRequest } from "../../index.ts";
import { Harness, httpServer, repliesIn, type FakeReply, type ServerSide } from "../../testing/index.ts";

export type Answer = (request: HttpRequest, version: number) => FakeReply | "reset" | "hang";

export interface Scene {
  readonly harness: Harness;
  /** `version METHOD target` in the order of arrival. */
  readonly arrived: string[];
}

export function makeScene(
  options: HttpProxyOptions & {
    readonly answer: Answer;
    readonly versions?: readonly number[];
    readonly admit?: (version: number, connection: number) => boolean;
  },
): Scene {
  const { answer, versions = [1, 2], admit = () => true, ...rest } = options;
  const arrived: string[] = [];
  const connections = new Map<number, number>();
  const serve = (side: ServerSide) => {
    const count = (connections.get(side.version) ?? 0) + 1;
    connections.set(side.version, count);
    if (!admit(side.version, count)) return "refuse" as const;
    return httpServer(side, (request, version) => {
      arrived.push(`${version} ${request.method} ${request.target}`);
      return answer(request, version);
    });
  };
  return { harness: new Harness({ handlers: createHttpProxy(rest), versions, serve }), arrived };
}

export const plain = (method: string, target: string, body = "", more = ""): string =>
  `${method} ${target} HTTP/1.1\r\nHost: h\r\n${more}${body === "" ? "" : `Content-Length: ${body.length}\r\n`}\r\n${body}`;

export async function exchange(harness: Harness, ...requests: string[]): Promise<[number, string][]> {
  const client = harness.connect();
  client.send(requests.join(""));
  await harness.run();
  const methods = requests.map((request) => request.slice(0, request.indexOf(" ")));
  return repliesIn(client.received, methods).map((reply) => [
    reply.status,
    Buffer.from(reply.body).toString(),
  ]);
}

export const byVersion: Answer = (_request, version) => ({ status: 200, body: `v${version}` });
