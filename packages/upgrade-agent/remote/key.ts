/** The key pair of a domain: made when the domain is, used by nobody but this node's agent. */
import ssh2 from "ssh2";

export interface DomainKey {
  /** OpenSSH private key, PEM. */
  readonly privateKey: string;
  /** One line for authorized_keys. */
  readonly publicKey: string;
}

/**
 * A new Ed25519 pair; under a millisecond. One in 256 pairs that ssh2 1.17 makes is broken, because it strips zero
 * bytes that belong to the key (mscdex/ssh2 issue 1390); such a pair is thrown away.
 */
export function generateDomainKey(): DomainKey {
  for (;;) {
    const { private: privateKey, public: publicKey } = ssh2.utils.generateKeyPairSync("ed25519");
    const broken = [privateKey, publicKey].some((half) => ssh2.utils.parseKey(half) instanceof Error);
    if (!broken) return { privateKey, publicKey };
  }
}
