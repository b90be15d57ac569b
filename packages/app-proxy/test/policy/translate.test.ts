import t from "tap";
import { translateSteps } from "../../policy/translate.ts";

const step = (version: number) => ({
  requestUp: (request: string) => `${request}+${version}`,
  requestDown: (request: string) => `${request}-${version}`,
  replyUp: (reply: string) => `${reply}+${version}`,
  replyDown: (reply: string) => `${reply}-${version}`,
});
const steps = { 2: step(2), 4: step(4), 5: {} };

t.test("clients of an older version: up with the request, down with the reply", async (t) => {
  const { transformRequest, transformReply } = translateSteps(1, steps);
  t.equal(transformRequest("q", 1), "q");
  t.equal(transformRequest("q", 3), "q+2");
  t.equal(transformRequest("q", 5), "q+2+4");
  t.equal(transformReply("r", 5, "q"), "r-4-2");
});

t.test("clients of a newer version: down with the request, up with the reply", async (t) => {
  const { transformRequest, transformReply } = translateSteps(4, steps);
  t.equal(transformRequest("q", 4), "q");
  t.equal(transformRequest("q", 1), "q-4-2");
  t.equal(transformReply("r", 1, "q"), "r+2+4");
  t.equal(transformReply("r", 2, "q"), "r+4");
});
