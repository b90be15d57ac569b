/**
 * Ed25519 keys of a fleet: one private key with whoever releases, its public half in `/etc/version-manager/trust/*.pub`
 * of every node. Both are PEM (PKCS #8 and SubjectPublicKeyInfo), so that `openssl pkey` reads them.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from "node:crypto";
import { mkdir, open, readdir, readFile, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AgentError } from "../errors.ts";

/** Files read from one trust directory; more than a handful of keys is a mistake. */
const TRUSTED_KEYS_MAX = 64;
/** Bytes of a key file; an Ed25519 key in PEM has about 120. */
const KEY_BYTES_MAX = 4096;

/** Public keys by keyid. */
export type TrustedKeys = ReadonlyMap<string, KeyObject>;

export interface FleetKey {
  readonly keyid: string;
  readonly privateKeyFile: string;
  /** `privateKeyFile` with `.pub` after it; copy it into the trust directory of every node. */
  readonly publicKeyFile: string;
}

/** SHA-256 of the public key's DER form (SubjectPublicKeyInfo), 64 hex digits. */
export function keyidOf(key: KeyObject): string {
  const publicKey = key.type === "public" ? key : createPublicKey(key);
  return createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest("hex");
}

/** Writes a new key to `file` (mode 0600) and its public half to `file.pub`. Overwrites neither: `E_CONFIG`. */
export async function generateFleetKey(file: string): Promise<FleetKey> {
  const publicKeyFile = `${file}.pub`;
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  await mkdir(dirname(file), { recursive: true });
  await writeNew(file, privateKey.export({ type: "pkcs8", format: "pem" }).toString(), 0o600);
  try {
    await writeNew(publicKeyFile, publicKey.export({ type: "spki", format: "pem" }).toString(), 0o644);
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  }
  return { keyid: keyidOf(publicKey), privateKeyFile: file, publicKeyFile };
}

/** Reads a private key. Throws `E_NO_KEY` when there is none, `E_CONFIG` when others may read it or it is no key. */
export async function loadPrivateKey(file: string): Promise<KeyObject> {
  const pem = await readKeyFile(
    file,
    0o077,
    "others may read it: chmod 600 it, and think whether it is still secret",
  );
  return parseKey(file, () => createPrivateKey(pem));
}

/** Reads one public key file. The same errors as `loadPrivateKey`. */
export async function loadPublicKey(file: string): Promise<KeyObject> {
  const pem = await readKeyFile(
    file,
    0o022,
    "others may write it: chmod 644 it, and look whether it is still yours",
  );
  // createPublicKey would derive a public key from a private one; a private key has no business in a trust directory.
  if (pem.includes("PRIVATE KEY")) {
    throw new AgentError(
      "E_CONFIG",
      `${file} holds a private key; keep that away from nodes and copy its .pub file.`,
    );
  }
  return parseKey(file, () => createPublicKey(pem));
}

/** Every `*.pub` of a directory. Throws `E_NO_KEY` when there is none. */
export async function loadTrustedKeys(directory: string): Promise<TrustedKeys> {
  let names: string[];
  try {
    names = (await readdir(directory)).filter((name) => name.endsWith(".pub")).toSorted();
  } catch (cause) {
    throw new AgentError(
      "E_NO_KEY",
      `${directory} cannot be read; make it and copy the fleet key's .pub file there.`,
      cause,
    );
  }
  if (names.length === 0) {
    throw new AgentError(
      "E_NO_KEY",
      `${directory} holds no *.pub file; copy the fleet key's .pub file there.`,
    );
  }
  if (names.length > TRUSTED_KEYS_MAX) {
    throw new AgentError(
      "E_CONFIG",
      `${directory} holds ${names.length} keys; at most ${TRUSTED_KEYS_MAX} are allowed.`,
    );
  }
  const keys = await Promise.all(names.map((name) => loadPublicKey(join(directory, name))));
  return new Map(keys.map((key) => [keyidOf(key), key]));
}

async function writeNew(file: string, text: string, mode: number): Promise<void> {
  const exists = (cause: unknown) =>
    new AgentError(
      "E_CONFIG",
      `${file} exists and is not overwritten; name another file or move it away.`,
      cause,
    );
  const handle = await open(file, "wx", mode).catch((error: NodeJS.ErrnoException) => {
    throw error.code === "EEXIST" ? exists(error) : error;
  });
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function readKeyFile(file: string, forbiddenMode: number, advice: string): Promise<string> {
  let found: Awaited<ReturnType<typeof stat>>;
  try {
    found = await stat(file);
  } catch (cause) {
    throw new AgentError("E_NO_KEY", `${file} is not there; make a key with "vm-upgrade key new".`, cause);
  }
  if (!found.isFile() || found.size > KEY_BYTES_MAX)
    throw new AgentError("E_CONFIG", `${file} is not a key file.`);
  if ((found.mode & forbiddenMode) !== 0) throw new AgentError("E_CONFIG", `${file} is not safe, ${advice}.`);
  return readFile(file, "utf8");
}

function parseKey(file: string, parse: () => KeyObject): KeyObject {
  let key: KeyObject;
  try {
    key = parse();
  } catch (cause) {
    throw new AgentError(
      "E_CONFIG",
      `${file} is not a key in PEM; make one with "vm-upgrade key new".`,
      cause,
    );
  }
  if (key.asymmetricKeyType !== "ed25519") {
    throw new AgentError(
      "E_CONFIG",
      `${file} is a key of type ${key.asymmetricKeyType}; only ed25519 is taken.`,
    );
  }
  return key;
}
