/** A traced packet as one line, as tcpdump would write it, with what became of it and why. Pure. */
import type { Advertisement, TraceLine, TracedMark, TracedPacket } from "@version-manager/version-router";

/** `HH:MM:SS.microseconds`, in this machine's time zone. */
function clock(atMs: number): string {
  const date = new Date(atMs);
  const two = (number: number): string => String(number).padStart(2, "0");
  const micros = Math.floor((atMs % 1000) * 1000);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(micros).padStart(6, "0")}`;
}

function end(address: string, port: number): string {
  return port === 0 ? address : `${address}.${port}`;
}

function advertises({ version, status }: Advertisement): string {
  return ` advertises v${version} ${status}`;
}

/** The service only where it is not the one that was counted for. */
function markWords(mark: TracedMark, service: string): string {
  const name = mark.service || `tag 0x${mark.tag.toString(16).padStart(4, "0")}`;
  const whose = name === service ? "" : `${name} `;
  const said = mark.advertisement === undefined ? "" : advertises(mark.advertisement);
  return `mark ${whose}v${mark.senderVersion}${said}`;
}

function packetLine(packet: TracedPacket): string {
  const { protocol, flags, bytes, service, version, mark } = packet;
  const ends =
    protocol === ""
      ? "no IP"
      : `${end(packet.source, packet.sourcePort)} > ${end(packet.destination, packet.destinationPort)}`;
  const facts = [
    `${protocol}${flags === undefined ? "" : ` [${flags}]`} ${bytes} bytes`.trimStart(),
    ...(service === "" ? [] : [version === 0 ? service : `${service} v${version}`]),
    mark === undefined ? "no mark" : markWords(mark, service),
  ];
  const where = `${(packet.interface ?? packet.hook).padEnd(6)} ${packet.direction.padEnd(3)}`;
  const verdict = `${packet.outcome}, ${packet.verdict}: ${packet.reason}`;
  return `${clock(packet.atMs)} ${where} ${ends}: ${facts.join(", ")}; ${verdict}`;
}

export function traceLine(line: TraceLine): string {
  if (line.type === "packet") return packetLine(line);
  if (line.type === "missed") return `${line.packets} packets not shown`;
  return `${line.code}: ${line.message}`;
}
