/** What other packages use of the router: its contract, its errors, a client, and the codec of its marks. */
export * from "./control/client.ts";
export * from "./control/contract.ts";
export * from "./control/verdicts.ts";
export * from "./errors.ts";
export * from "./mark/index.ts";
