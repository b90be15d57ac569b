/** Handlers and servers of the simplest kind. */
import type { ProxyHandlers } from "../../connection/contract.ts";
import type { ServerSide } from "../../testing/index.ts";

/** Everything to the newest version and back. */
export const pass: ProxyHandlers = {
  handleRequest(_version, buffer, connection) {
    const bytes = buffer.read();
    connection.enqueue(connection.versions().max as number, bytes);
    return bytes.length;
  },
  handleReply(_version, buffer, connection) {
    const bytes = buffer.read();
    connection.enqueueClient(bytes);
    return bytes.length;
  },
};

export const echo = (side: ServerSide) => ({ data: (bytes: Buffer) => side.send(bytes) });
