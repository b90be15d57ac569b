/** Fetching and giving releases by BitTorrent, among the fleet's nodes only. */
export interface Download {
  readonly infohash: string;
  readonly receivedBytes: number;
  readonly totalBytes: number;
  readonly peers: number;
  readonly done: boolean;
}

export interface Swarm {
  /** Port that this node's peers connect to. */
  readonly port: number;
  /** Makes the `.torrent` of a file: the same bytes for the same file and name, everywhere. */
  createTorrent(
    file: string,
    name: string,
  ): Promise<{ readonly torrent: Uint8Array; readonly infohash: string }>;
  /**
   * Starts giving a file that is complete on this node, after checking every piece. Idempotent; after a download whose
   * file was renamed it tells the swarm the new name. Throws E_RELEASE_ALTERED when the file is not the torrent's.
   */
  seed(torrent: Uint8Array, file: string): Promise<void>;
  /**
   * Fetches into `file` (resumed when partly there), then goes on giving it, also after a rename. Resolves when
   * complete. `peers` are `address:port`. Throws E_TORRENT_MISMATCH when the torrent is not the one of `infohash`,
   * E_DISK_FULL (what was fetched stays, for another try), the signal's reason when aborted (the same).
   */
  download(request: {
    readonly torrent: Uint8Array;
    readonly infohash: string;
    readonly file: string;
    readonly peers: readonly string[];
    readonly onProgress?: (progress: Download) => void;
    readonly signal?: AbortSignal;
  }): Promise<void>;
  /** More places to fetch it from. They are tried again and again until the download is complete. */
  addPeers(infohash: string, peers: readonly string[]): void;
  /**
   * The addresses (without port) that may connect and be connected to, all others are cut off. Until it is called, and
   * unless `createSwarm` was given some, nobody may.
   */
  setAllowedPeers(addresses: readonly string[]): void;
  /** Stops giving or fetching; the file stays. An unknown infohash is fine. */
  remove(infohash: string): Promise<void>;
  list(): readonly Download[];
  close(): Promise<void>;
}
