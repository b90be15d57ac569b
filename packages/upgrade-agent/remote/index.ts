/** Acting inside domains, over SSH. */
export { openSession, type SessionOptions } from "./connect.ts";
export type { CopyOptions } from "./copy.ts";
export { generateDomainKey, type DomainKey } from "./key.ts";
export type { ExecOptions, ExecResult, Session } from "./session.ts";
