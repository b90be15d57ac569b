/** Version 2's migrate hook between stand-ins for the old version's export and the new version's import. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { releaseFile, type Item } from "./release-modules.ts";

async function serve(t: Test, listener: RequestListener): Promise<number> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

/** Runs the hook. Export number N is `exports[N]`, the last one again and again; a function decides about the import. */
async function migrate(t: Test, exports: readonly string[], imports: (items: Item[]) => number[]) {
  let asked = 0;
  const from = await serve(t, (_request, response) => {
    response.end(exports[Math.min(asked++, exports.length - 1)]);
  });
  const to = await serve(t, (request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    request.on("end", () => {
      const items = text.split("\n").map((line) => JSON.parse(line) as Item);
      response.end(JSON.stringify({ newTimestamps: imports(items) }));
    });
  });
  const child = spawn(process.execPath, [fileURLToPath(releaseFile("v2", "migrate.js"))], {
    env: { ...process.env, VM_OLD_TCP_80: `127.0.0.1:${from}`, KV_HTTP_PORT: String(to) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const [code] = await once(child, "close");
  return { code: code as number, output, asked };
}

const line = (key: string, timestamp: number): string =>
  JSON.stringify({ key, value: "v", timestamp, node: "kv-1" });
const trailer = (items: number, completeTo: number): string =>
  JSON.stringify({ end: true, items, completeTo });
const text = (...lines: readonly string[]): string => `${lines.join("\n")}\n`;

/** An import that knows what it was given before. */
function memory() {
  const known = new Map<string, number>();
  const take = (items: Item[]): number[] =>
    items
      .filter(({ key, timestamp }) => (known.get(key) ?? 0) < timestamp && known.set(key, timestamp))
      .map(({ timestamp }) => timestamp);
  return { known, take };
}

t.test("passes follow until one finds nothing new of what was there at the start", async (t) => {
  const { known, take } = memory();
  const exports = [
    text(line("a", 1), line("b", 2), trailer(2, 10)),
    text(line("a", 1), line("b", 5), trailer(2, 20)),
  ];
  const { code, output, asked } = await migrate(t, exports, take);
  t.equal(code, 0, output);
  t.equal(asked, 3);
  t.same(
    [...known],
    [
      ["a", 1],
      ["b", 5],
    ],
  );
});

t.test("items newer than the start are copied, and not waited for", async (t) => {
  const { known, take } = memory();
  const exports = [text(line("a", 1), trailer(1, 10)), text(line("a", 11), trailer(1, 20))];
  const { code, asked } = await migrate(t, exports, take);
  t.equal(code, 0);
  t.equal(asked, 2);
  t.same([...known], [["a", 11]]);
});

t.test("an export that breaks off, or miscounts, is not believed", async (t) => {
  const { take } = memory();
  const whole = text(line("a", 1), line("b", 2), trailer(2, 10));
  const { code, output, asked } = await migrate(
    t,
    [text(line("a", 1)), text(line("a", 1), trailer(2, 10)), whole],
    take,
  );
  t.equal(code, 0, output);
  t.match(output, /broke off after 1 items/);
  t.equal(asked, 4);
});

t.test("an empty service migrates at once", async (t) => {
  const { code, asked } = await migrate(t, [text(trailer(0, 10))], () => []);
  t.equal(code, 0);
  t.equal(asked, 1);
});

t.test("without the old version's endpoint the hook says what it needs", async (t) => {
  const child = spawn(process.execPath, [fileURLToPath(releaseFile("v2", "migrate.js"))], {
    stdio: "ignore",
  });
  const [code] = await once(child, "close");
  t.equal(code, 2);
});
