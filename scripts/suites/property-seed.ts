/**
 * Loaded before each test file: every property of fast-check draws its cases from the one seed in `PROPERTY_SEED`, so
 * that a failed run can be repeated.
 */
import fc from "fast-check";

fc.configureGlobal({ seed: Number(process.env["PROPERTY_SEED"]) });
