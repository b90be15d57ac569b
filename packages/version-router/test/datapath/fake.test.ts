import t from "tap";
import { FakeDataPath } from "../../datapath/fake.ts";
import { dataPathCompliance } from "./compliance.ts";

const dataPath = new FakeDataPath({ serviceAddress: "10.79.0.1" });

t.test("the fake data path", async (t) => dataPathCompliance(t, () => dataPath));
