/** A domain's questions to its link (RFC 4861): only the one for the gateway is answered. */
import { addressAt, bytesOf, isLinkLocal6 } from "./address.ts";
import { fold, total } from "./sums.ts";
import { GATEWAY6 } from "./world.ts";

const ANSWER_BYTES = 86;

/** The advertisement, or undefined where there is nothing to say. */
export function answerSolicitation(frame: Buffer, address6: string, hostMac: Buffer): Buffer | undefined {
  if (frame.length < 78 || frame.readUInt16BE(18) < 24) return undefined;
  const isQuestion = frame.readUInt16BE(54) === 0x8700 && frame.readUInt8(21) === 255;
  const asker = addressAt(frame, 22, 16);
  if (!isQuestion || addressAt(frame, 62, 16) !== GATEWAY6) return undefined;
  if (asker !== address6 && !isLinkLocal6(asker)) return undefined;
  const answer = Buffer.alloc(ANSWER_BYTES);
  frame.copy(answer, 0, 6, 12);
  hostMac.copy(answer, 6);
  frame.copy(answer, 12, 12, 62);
  answer.writeUInt16BE(32, 18);
  bytesOf(GATEWAY6, true).copy(answer, 22);
  bytesOf(asker, true).copy(answer, 38);
  answer.writeUInt32BE(0x88000000, 54);
  answer.writeUInt32BE(0xe0000000, 58);
  bytesOf(GATEWAY6, true).copy(answer, 62);
  answer.writeUInt16BE(0x0201, 78);
  hostMac.copy(answer, 80);
  answer.writeUInt16BE(0xffff - fold(total(answer, 22, ANSWER_BYTES) + 58 + 32), 56);
  return answer;
}
