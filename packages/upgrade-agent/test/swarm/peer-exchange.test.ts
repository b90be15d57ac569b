import { EventEmitter } from "node:events";
import t from "tap";
import { exchangePeers } from "../../swarm/peer-exchange.ts";
import type { Torrent } from "../../swarm/webtorrent.ts";

class FakeWire extends EventEmitter {
  readonly told: string[] = [];
  readonly remoteAddress: string;
  readonly ut_pex = {
    addPeer: (peer: string) => this.told.push(`+${peer}`),
    dropPeer: (peer: string) => this.told.push(`-${peer}`),
    start: () => this.told.push("start"),
  };
  constructor(remoteAddress: string) {
    super();
    this.remoteAddress = remoteAddress;
  }
}

function setUp(known: string[]) {
  const wires: FakeWire[] = [];
  const torrent = Object.assign(new EventEmitter(), { wires, destroyed: false });
  exchangePeers(torrent as unknown as Torrent, { known: new Set(known), swarmPort: 4081 });
  const connect = (address: string): FakeWire => {
    const wire = new FakeWire(address);
    wires.push(wire);
    torrent.emit("wire", wire, address);
    return wire;
  };
  const disconnect = (wire: FakeWire) => {
    wires.splice(wires.indexOf(wire), 1);
    wire.emit("close");
  };
  return { torrent, connect, disconnect };
}

t.test("peers are told of each other where they listen, and that one has gone", async (t) => {
  const { connect, disconnect } = setUp(["10.77.0.1:5000"]);
  const first = connect("10.77.0.1");
  t.same(first.told, ["start"]);
  const second = connect("10.77.0.2");
  t.same(second.told, ["+10.77.0.1:5000", "start"], "where we were told that it listens");
  t.same(first.told, ["start", "+10.77.0.2:4081"], "or else at the port of the fleet");
  disconnect(first);
  t.same(second.told.at(-1), "-10.77.0.1:5000");
});

t.test("two connections with one peer are not news to it", async (t) => {
  const { connect } = setUp([]);
  connect("10.77.0.1");
  t.same(connect("10.77.0.1").told, ["start"]);
});

t.test("a torrent that is let go says nothing", async (t) => {
  const { torrent, connect, disconnect } = setUp([]);
  const first = connect("10.77.0.1");
  const second = connect("10.77.0.2");
  torrent.destroyed = true;
  disconnect(first);
  t.same(second.told, ["+10.77.0.1:4081", "start"]);
});
