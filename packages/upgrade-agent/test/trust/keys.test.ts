import { generateKeyPairSync } from "node:crypto";
import { chmod, copyFile, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { generateFleetKey, loadPrivateKey, loadPublicKey, loadTrustedKeys } from "../../trust/index.ts";
import { makeFleet, temporaryDirectory, writeTree } from "../release/fixture.ts";

t.test("a new key is private, and its public half is not", async (t) => {
  const directory = await temporaryDirectory(t);
  const key = await generateFleetKey(join(directory, "fleet.key"));
  t.equal((await stat(key.privateKeyFile)).mode & 0o777, 0o600);
  t.equal(key.publicKeyFile, join(directory, "fleet.key.pub"));
  t.match(await readFile(key.publicKeyFile, "utf8"), /^-----BEGIN PUBLIC KEY-----\n/u);
  t.match(key.keyid, /^[0-9a-f]{64}$/u);
  t.equal((await loadPrivateKey(key.privateKeyFile)).asymmetricKeyType, "ed25519");
});

t.test("no key is ever overwritten", async (t) => {
  const directory = await temporaryDirectory(t);
  const key = await generateFleetKey(join(directory, "fleet.key"));
  const before = await readFile(key.privateKeyFile, "utf8");
  await t.rejects(generateFleetKey(key.privateKeyFile), { code: "E_CONFIG" });
  t.equal(await readFile(key.privateKeyFile, "utf8"), before);
  await rm(key.privateKeyFile);
  await t.rejects(generateFleetKey(key.privateKeyFile), { code: "E_CONFIG" }, "nor a public one");
  await t.rejects(stat(key.privateKeyFile), { code: "ENOENT" }, "and then no half of a pair is left");
});

t.test("a private key that others can read is not used", async (t) => {
  const { keyFile } = await makeFleet(t);
  await chmod(keyFile, 0o640);
  await t.rejects(loadPrivateKey(keyFile), { code: "E_CONFIG" });
});

t.test("a trusted key that others can write is not used", async (t) => {
  const { trustDirectory } = await makeFleet(t);
  await chmod(join(trustDirectory, "fleet.pub"), 0o666);
  await t.rejects(loadTrustedKeys(trustDirectory), { code: "E_CONFIG" });
});

t.test("what is not a key", async (t) => {
  const directory = await temporaryDirectory(t);
  const file = join(directory, "key.pub");
  await t.rejects(loadPublicKey(file), { code: "E_NO_KEY" });
  await writeFile(file, "hello");
  await t.rejects(loadPublicKey(file), { code: "E_CONFIG" });
  await writeFile(file, "x".repeat(5000));
  await t.rejects(loadPublicKey(file), { code: "E_CONFIG" });
  const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 });
  await writeFile(file, rsa.publicKey.export({ type: "spki", format: "pem" }));
  await t.rejects(loadPublicKey(file), { code: "E_CONFIG" }, "a key of another kind");
});

t.test("a private key in the trust directory is a mistake to speak of", async (t) => {
  const { trustDirectory, keyFile } = await makeFleet(t);
  await copyFile(keyFile, join(trustDirectory, "oops.pub"));
  await t.rejects(loadTrustedKeys(trustDirectory), { code: "E_CONFIG" });
});

t.test("a trust directory", async (t) => {
  const { trustDirectory, keyid } = await makeFleet(t);
  await writeTree(trustDirectory, { README: "not a key" });
  t.same([...(await loadTrustedKeys(trustDirectory)).keys()], [keyid]);
  await rm(join(trustDirectory, "fleet.pub"));
  await t.rejects(loadTrustedKeys(trustDirectory), { code: "E_NO_KEY" }, "without keys");
  await t.rejects(loadTrustedKeys(join(trustDirectory, "absent")), { code: "E_NO_KEY" }, "that is not there");
});
