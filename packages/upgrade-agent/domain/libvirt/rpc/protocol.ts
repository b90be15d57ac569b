/**
 * The part of libvirt's remote protocol that we speak: numbers and structures of remote_protocol.x (libvirt 9.0.0;
 * they are part of libvirt's stable wire ABI and only ever grow). Pure.
 */
import type { XdrReader, XdrWriter } from "./xdr.ts";

/** `REMOTE_PROGRAM` and `REMOTE_PROTOCOL_VERSION`. */
export const PROGRAM = 0x2000_8086;
export const PROTOCOL_VERSION = 1;

const LIST_MAX = 16_384;
const AUTH_TYPES_MAX = 20;
const UUID_BYTES = 16;

/** `remote_auth_type`: a daemon that offers this one lets its socket's file mode decide. */
export const AUTH_NONE = 0;

/** `virConnectListAllDomainsFlags` are all left out: every domain is listed. */
const NEED_RESULTS = 1;

/** `VIR_DOMAIN_EVENT_ID_LIFECYCLE` */
const LIFECYCLE_EVENT = 0;

/** `VIR_DOMAIN_DEFINE_VALIDATE`: the XML must follow libvirt's schema. */
const DEFINE_VALIDATE = 1;

/** `VIR_DOMAIN_START_VALIDATE` */
const START_VALIDATE = 16;

/** `VIR_DOMAIN_SHUTDOWN_SIGNAL`; without it the driver chooses the way. */
const SHUTDOWN_SIGNAL = 8;

/** `VIR_DOMAIN_START_AUTODESTROY` */
const START_AUTODESTROY = 2;

/** `VIR_DRV_FEATURE_PROGRAM_KEEPALIVE`; a daemon that is asked for it begins to send pings of its own. */
const FEATURE_KEEPALIVE = 10;

/** `remote_nonnull_domain` */
export interface DomainRef {
  readonly name: string;
  readonly uuid: Buffer;
  /** −1 while it does not run. */
  readonly id: number;
}

function writeDomain(writer: XdrWriter, domain: DomainRef): void {
  writer.string(domain.name).fixedOpaque(domain.uuid).int(domain.id);
}

export function readDomain(reader: XdrReader): DomainRef {
  return { name: reader.string(), uuid: reader.fixedOpaque(UUID_BYTES), id: reader.int() };
}

/** One call: its number, how its arguments are written and its result is read. */
export interface Procedure<Args, Result> {
  readonly name: string;
  readonly number: number;
  readonly write: (writer: XdrWriter, args: Args) => void;
  readonly read: (reader: XdrReader) => Result;
}

function procedure<Args, Result>(
  name: string,
  number: number,
  write: (writer: XdrWriter, args: Args) => void,
  read: (reader: XdrReader) => Result,
): Procedure<Args, Result> {
  return { name, number, write, read };
}

const nothing = (): void => undefined;

export const procedures = {
  authList: procedure<void, number[]>("auth_list", 66, nothing, (reader) =>
    reader.array(AUTH_TYPES_MAX, (item) => item.int()),
  ),
  open: procedure<string, void>(
    "connect_open",
    1,
    (writer, uri) => writer.optional(uri, (to, value) => to.string(value)).uint(0),
    nothing,
  ),
  close: procedure<void, void>("connect_close", 2, nothing, nothing),
  libVersion: procedure<void, bigint>("connect_get_lib_version", 157, nothing, (reader) =>
    reader.unsignedHyper(),
  ),
  version: procedure<void, bigint>("connect_get_version", 4, nothing, (reader) => reader.unsignedHyper()),
  listAllDomains: procedure<void, DomainRef[]>(
    "connect_list_all_domains",
    273,
    (writer) => writer.int(NEED_RESULTS).uint(0),
    (reader) => reader.array(LIST_MAX, readDomain),
  ),
  lookupByName: procedure<string, DomainRef>(
    "domain_lookup_by_name",
    23,
    (writer, name) => writer.string(name),
    readDomain,
  ),
  defineXml: procedure<string, DomainRef>(
    "domain_define_xml_flags",
    350,
    (writer, xml) => writer.string(xml).uint(DEFINE_VALIDATE),
    readDomain,
  ),
  createXml: procedure<{ readonly xml: string; readonly autodestroy: boolean }, DomainRef>(
    "domain_create_xml",
    10,
    (writer, { xml, autodestroy }) =>
      writer.string(xml).uint(autodestroy ? START_VALIDATE | START_AUTODESTROY : START_VALIDATE),
    readDomain,
  ),
  destroy: procedure<DomainRef, void>(
    "domain_destroy_flags",
    234,
    (writer, domain) => {
      writeDomain(writer, domain);
      writer.uint(0);
    },
    nothing,
  ),
  undefine: procedure<DomainRef, void>(
    "domain_undefine_flags",
    231,
    (writer, domain) => {
      writeDomain(writer, domain);
      writer.uint(0);
    },
    nothing,
  ),
  state: procedure<DomainRef, number>(
    "domain_get_state",
    212,
    (writer, domain) => {
      writeDomain(writer, domain);
      writer.uint(0);
    },
    (reader) => reader.int(),
  ),
  xml: procedure<DomainRef, string>(
    "domain_get_xml_desc",
    14,
    (writer, domain) => {
      writeDomain(writer, domain);
      writer.uint(0);
    },
    (reader) => reader.string(),
  ),
  askForKeepAlive: procedure<void, boolean>(
    "connect_supports_feature",
    60,
    (writer) => writer.int(FEATURE_KEEPALIVE),
    (reader) => reader.int() === 1,
  ),
  save: procedure<{ readonly domain: DomainRef; readonly path: string }, void>(
    "domain_save_flags",
    232,
    (writer, { domain, path }) => {
      writeDomain(writer, domain);
      writer
        .string(path)
        .optional<string>(undefined, (to, value) => to.string(value))
        .uint(0);
    },
    nothing,
  ),
  restore: procedure<string, void>(
    "domain_restore_flags",
    233,
    (writer, path) =>
      writer
        .string(path)
        .optional<string>(undefined, (to, value) => to.string(value))
        .uint(0),
    nothing,
  ),
  shutdown: procedure<{ readonly domain: DomainRef; readonly bySignal: boolean }, void>(
    "domain_shutdown_flags",
    258,
    (writer, { domain, bySignal }) => {
      writeDomain(writer, domain);
      writer.uint(bySignal ? SHUTDOWN_SIGNAL : 0);
    },
    nothing,
  ),
  /** Process 1 and signal 0, which is none: succeeds while libvirt knows the container's first process. */
  touchInit: procedure<DomainRef, void>(
    "domain_send_process_signal",
    295,
    (writer, domain) => {
      writeDomain(writer, domain);
      writer.uint(0).uint(1).uint(0).uint(0);
    },
    nothing,
  ),
  registerLifecycle: procedure<void, number>(
    "connect_domain_event_callback_register_any",
    316,
    (writer) => writer.int(LIFECYCLE_EVENT).optional<DomainRef>(undefined, writeDomain),
    (reader) => reader.int(),
  ),
} as const;

/** Number under which the daemon sends lifecycle events, `REMOTE_PROC_DOMAIN_EVENT_CALLBACK_LIFECYCLE`. */
export const LIFECYCLE_MESSAGE = 318;

export interface LifecycleMessage {
  readonly domain: DomainRef;
  /** `virDomainEventType` */
  readonly event: number;
  /** What led to it; which enumeration it is of depends on `event`. */
  readonly detail: number;
}

export function readLifecycle(reader: XdrReader): LifecycleMessage {
  reader.int();
  return { domain: readDomain(reader), event: reader.int(), detail: reader.int() };
}

/** `remote_error`, as far as anyone wants to know. */
export interface RemoteError {
  /** `virErrorNumber` */
  readonly code: number;
  /** `virErrorDomain` */
  readonly domain: number;
  readonly message: string;
}

export function readError(reader: XdrReader): RemoteError {
  const [code, domain] = [reader.int(), reader.int()];
  return { code, domain, message: reader.optional((item) => item.string()) ?? "" };
}
