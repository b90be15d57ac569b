/** The open connections of an HTTP server, and since when each is idle: Node closes idle ones only all at once. */
export class Connections {
  #open = new Map();

  constructor(server) {
    server.on("connection", (socket) => {
      this.#open.set(socket, { requests: 0, idleSinceMs: performance.now() });
      socket.once("close", () => this.#open.delete(socket));
    });
    server.on("request", ({ socket }, response) => {
      const state = this.#open.get(socket);
      if (state === undefined) return;
      state.requests += 1;
      response.once("close", () => {
        state.requests -= 1;
        state.idleSinceMs = performance.now();
      });
    });
  }

  /** Ends those that had no request for so long, but for those from the addresses to spare. */
  endIdle(idleMs, spare) {
    const latestMs = performance.now() - idleMs;
    for (const [socket, { requests, idleSinceMs }] of this.#open) {
      if (requests === 0 && idleSinceMs <= latestMs && !spare.includes(socket.remoteAddress)) socket.end();
    }
  }
}
