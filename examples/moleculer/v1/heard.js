/**
 * Every node that was ever heard, and what it said of itself: the evidence of who talked to whom. Two sources: the
 * HELLO with which each TCP connection of moleculer begins, and the node descriptions that gossip spreads.
 */
const HEARD_MAX = 1000;

export class Heard {
  #nodes = new Map();

  #note(nodeID, facts) {
    const key = JSON.stringify([nodeID, facts]);
    if (this.#nodes.size < HEARD_MAX && !this.#nodes.has(key)) this.#nodes.set(key, { nodeID, ...facts });
  }

  /** A node description, from moleculer's `$node.*` events. */
  node(node) {
    this.#note(node.id, { via: "gossip", moleculer: node.client?.version, label: node.metadata?.label });
  }

  /** Looks at the HELLO packets that come in. */
  middleware() {
    return {
      name: "Heard",
      transporterReceive:
        (next) =>
        (type, data, ...rest) => {
          if (type === "GOSSIP_HELLO") {
            const { sender, ver } = JSON.parse(data.toString());
            this.#note(sender, { via: "hello", protocol: ver });
          }
          return next(type, data, ...rest);
        },
    };
  }

  list() {
    return [...this.#nodes.values()];
  }
}
