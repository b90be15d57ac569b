/** `vm-upgrade marks`: tells the marks in what tcpdump prints. */
import { createInterface } from "node:readline";
import { decodeCapture, serviceTag } from "@version-manager/version-router";
import type { CommandModule } from "yargs";

interface Options {
  readonly service: string[];
}

export const marksCommand: CommandModule<object, Options> = {
  command: "marks",
  describe: "Decode the marks in the output of tcpdump, from standard input",
  builder: (yargs) =>
    yargs
      .option("service", {
        type: "string",
        array: true,
        default: [],
        describe: "Names to show instead of their tags",
      })
      .example(
        "tcpdump -l -n -x -i uplink 'udp or tcp[tcpflags] & tcp-syn != 0' | $0 marks --service kv",
        "",
      ),
  handler: async ({ service }) => {
    const names = new Map(service.map((name) => [serviceTag(name), name]));
    const lines = createInterface({ input: process.stdin });
    const hex = (tag: number) => `tag 0x${tag.toString(16).padStart(4, "0")}`;
    for await (const line of decodeCapture(lines, (tag) => names.get(tag) ?? hex(tag))) {
      process.stdout.write(`${line}\n`);
    }
  },
};
