/** The compare engine: whether two versions answer alike, and how sure that is. Useful without the rest. */
export type * from "./contract.ts";
export { CompareEngine, type EngineOptions, type Side } from "./engine.ts";
export { faultsOfGate, type CompareGate } from "./gate.ts";
export { sampleNumbers } from "./reservoir.ts";
export { compileRules, type CompareRules, type Replacement, type Rules } from "./rules.ts";
export { DEFAULT_SAMPLE_OPTIONS, type SampleOptions } from "./sample.ts";
export { estimateRate, rateExcess, type RateEstimate } from "./statistics.ts";
export type { ComparableValue } from "./value.ts";
