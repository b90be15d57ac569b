export * from "./mark.ts";
export * from "./service-tag.ts";
export * from "./stream-mark.ts";
export * from "./tcp-option.ts";
export * from "./tcpdump.ts";
export * from "./udp-header.ts";
