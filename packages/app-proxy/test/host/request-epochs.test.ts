import { setImmediate as turn } from "node:timers/promises";
import t from "tap";
import { RequestEpochs } from "../../host/request-epochs.ts";

t.test("a change settles when what was begun before it is over, whatever begins after", async (t) => {
  const epochs = new RequestEpochs();
  const settled: string[] = [];
  const first = epochs.start();
  void epochs.turn().then(() => settled.push("one"));
  const second = epochs.start();
  void epochs.turn().then(() => settled.push("two"));
  const third = epochs.start();
  t.equal(epochs.inFlight, 3);
  second();
  await turn();
  t.same(settled, []);
  first();
  await turn();
  t.same(settled.toSorted(), ["one", "two"]);
  third();
  t.equal(epochs.inFlight, 0);
  t.equal(epochs.total, 3);
});

t.test("nothing in flight: at once", async (t) => {
  await new RequestEpochs().turn();
  t.pass();
});
