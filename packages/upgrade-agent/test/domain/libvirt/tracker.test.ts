import * as fc from "fast-check";
import t from "tap";
import { DomainTracker } from "../../../domain/libvirt/tracker.ts";

t.test("each state is told once", async (t) => {
  const tracker = new DomainTracker();
  t.same(tracker.change("a", "running"), [{ name: "a", state: "running" }]);
  t.same(tracker.change("a", "running"), []);
  t.same(tracker.change("a", "stopped"), [{ name: "a", state: "stopped" }]);
  t.same(tracker.change("a", "absent"), [{ name: "a", state: "absent" }]);
  t.same(tracker.change("a", "absent"), []);
  t.equal(tracker.knows("a"), false);
});

t.test("a list tells what was missed, also of domains that are gone", async (t) => {
  const tracker = new DomainTracker();
  t.same(tracker.compare([{ name: "a", state: "running" }]), [{ name: "a", state: "running" }]);
  t.same(tracker.compare([{ name: "b", state: "stopped" }]), [
    { name: "b", state: "stopped" },
    { name: "a", state: "absent" },
  ]);
});

t.test("libvirt's messages become states; defining and shutting down say nothing of the state", async (t) => {
  const tracker = new DomainTracker();
  const states = [0, 1, 2, 3, 4, 5, 6, 7, 8, 99].map((event) => tracker.stateAfter(event));
  const [gone, up, down] = ["absent", "running", "stopped"];
  t.same(states, [undefined, gone, up, down, up, down, undefined, down, down, undefined]);
});

t.test("after any history, a comparison leaves exactly the list known", async () => {
  const name = fc.constantFrom("a", "b", "c");
  const state = fc.constantFrom("running" as const, "stopped" as const);
  const change = fc.tuple(name, fc.constantFrom("running" as const, "stopped" as const, "absent" as const));
  const list = fc.uniqueArray(fc.record({ name, state }), { selector: (domain) => domain.name });
  fc.assert(
    fc.property(fc.array(change), list, (changes, domains) => {
      const tracker = new DomainTracker();
      for (const [who, what] of changes) tracker.change(who, what);
      tracker.compare(domains);
      const known = ["a", "b", "c"].filter((who) => tracker.knows(who)).toSorted();
      return (
        tracker.compare(domains).length === 0 &&
        known.join() ===
          domains
            .map((d) => d.name)
            .toSorted()
            .join()
      );
    }),
  );
});
