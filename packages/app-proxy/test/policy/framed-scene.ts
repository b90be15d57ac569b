/** What the tests of proxies for any framing share: a proxy over fake versions that note what reaches them. */
import { createProxy, type Framing, type ProxyOptions } from "../../index.ts";
import { framedServer, Harness, type HarnessOptions, type ServerSide } from "../../testing/index.ts";

export interface FramedScene<Request> {
  readonly harness: Harness;
  readonly proxy: ReturnType<typeof createProxy>;
  /** What reached which version, in the order of arrival. */
  readonly arrived: { readonly version: number; readonly request: Request }[];
  /** Connections to versions, oldest first. */
  readonly sides: ServerSide[];
}

export interface FramedSceneOptions<Request, Reply> extends ProxyOptions<Request, Reply> {
  readonly framing: Framing<Request, Reply>;
  readonly answer: (request: Request, version: number) => Reply | "reset" | "hang" | undefined;
  readonly versions?: readonly number[];
  readonly admit?: (version: number) => boolean;
  readonly harness?: Pick<HarnessOptions, "choose" | "cut">;
}

export function framedScene<Request, Reply>(
  options: FramedSceneOptions<Request, Reply>,
): FramedScene<Request> {
  const { answer, versions = [1, 2], admit = () => true, harness: how, ...rest } = options;
  const arrived: { version: number; request: Request }[] = [];
  const sides: ServerSide[] = [];
  const proxy = createProxy<Request, Reply>(rest);
  const serve = (side: ServerSide) => {
    if (!admit(side.version)) return "refuse" as const;
    sides.push(side);
    return framedServer(side, rest.framing, (request, version) => {
      arrived.push({ version, request });
      return answer(request, version);
    });
  };
  return { harness: new Harness({ ...how, handlers: proxy, versions, serve }), proxy, arrived, sides };
}
