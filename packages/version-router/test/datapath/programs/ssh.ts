/** dropbear in a domain with a home and a host key of its own, and OpenSSH's clients for it. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sh } from "../lab.ts";
import { Running, runIn } from "./running.ts";

export const SSH_PORT = 22;

/** The key of whoever asks; one for all. */
export function makeClientKey(directory: string): string {
  const key = join(directory, "client-key");
  sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key);
  return key;
}

export class SshServer {
  /** What clients see as root's home. */
  readonly home: string;
  readonly #directory: string;
  readonly #clientKey: string;
  readonly #address: string;

  constructor(directory: string, clientKey: string, address: string) {
    this.#directory = directory;
    this.#clientKey = clientKey;
    this.#address = address;
    this.home = join(directory, "home");
    mkdirSync(join(this.home, ".ssh"), { recursive: true, mode: 0o700 });
    writeFileSync(join(this.home, ".ssh/authorized_keys"), readFileSync(`${clientKey}.pub`), { mode: 0o600 });
    sh("dropbearkey", "-t", "ed25519", "-f", join(directory, "host-key"));
    const told = sh("dropbearkey", "-y", "-f", join(directory, "host-key"));
    const publicKey = /^ssh-ed25519 \S+/m.exec(told)?.[0] ?? "";
    writeFileSync(join(directory, "known-hosts"), `${address} ${publicKey}\n`);
  }

  /** In a mount namespace where root's home is this one; nobody else's is touched. */
  start(namespace: string, name: string): Promise<Running> {
    const script = 'mount --bind "$1" /root && exec dropbear -F -E -e -s -r "$2" -p "$3" -P "$4"';
    const files = [this.home, join(this.#directory, "host-key"), `${SSH_PORT}`, join(this.#directory, "pid")];
    const inside = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", ...files];
    return Running.server(namespace, "tcp", SSH_PORT, "env", `SERVER_NAME=${name}`, ...inside);
  }

  /** A command at the server, with the client's input open. Only this server's host key is taken. */
  session(from: string, command: string): Running {
    return Running.start(from, "ssh", ...this.#options(), `root@${this.#address}`, command);
  }

  /** Over the old protocol, which needs no helper of the server's. `to` and `from` as scp has them, `:` for its home. */
  async copy(namespace: string, from: string, to: string): Promise<void> {
    const place = (path: string): string => (path.startsWith(":") ? `root@${this.#address}${path}` : path);
    await runIn(namespace, "scp", "-O", ...this.#options(), place(from), place(to));
  }

  #options(): readonly string[] {
    const options = {
      BatchMode: "yes",
      IdentitiesOnly: "yes",
      StrictHostKeyChecking: "yes",
      HostKeyAlgorithms: "ssh-ed25519",
      UserKnownHostsFile: join(this.#directory, "known-hosts"),
    };
    const words = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
    return ["-F", "none", "-i", this.#clientKey, ...words];
  }
}
