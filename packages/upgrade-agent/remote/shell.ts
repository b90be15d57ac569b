/** Putting commands together for the shell of a domain. Pure. */
import { AgentError } from "../errors.ts";

/** Longest command that dropbear takes is 9,000 bytes (MAX_CMD_LEN). */
export const commandBytesMax = 8_900;

/** After the time of a command is over it has this long to end by itself, s. */
export const killDelayS = 5;

/** As one word of a POSIX shell. */
export function quoteWord(word: string): string {
  return /^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * The command with its environment, under coreutils' `timeout`, which ends it in the domain even when nobody listens
 * any more. Empty input comes from /dev/null and not from ending the channel's input, after which ssh2 sends no
 * signal. Throws E_BAD_REQUEST when it is too long or a variable has no proper name.
 */
export function remoteCommand(
  command: string,
  options: {
    readonly env: Readonly<Record<string, string>>;
    readonly timeoutMs: number;
    readonly input: "empty" | "channel";
  },
): string {
  const { env, timeoutMs, input } = options;
  const wrong = Object.keys(env).find((name) => !/^[A-Za-z_]\w*$/.test(name));
  if (wrong !== undefined) {
    throw new AgentError(
      "E_BAD_REQUEST",
      `${JSON.stringify(wrong)} cannot name a variable; use letters, digits and _.`,
    );
  }
  const assignments = Object.entries(env).map(([name, value]) => `export ${name}=${quoteWord(value)}; `);
  const limit = `timeout -k ${killDelayS} ${(timeoutMs / 1000).toFixed(3)}`;
  const redirect = input === "empty" ? " </dev/null" : "";
  const whole = `${assignments.join("")}exec ${limit} /bin/sh -c ${quoteWord(command)}${redirect}`;
  const bytes = Buffer.byteLength(whole);
  if (bytes <= commandBytesMax) return whole;
  const message = `A command for a domain has ${bytes} bytes, at most are ${commandBytesMax}; put it into a file of the release.`;
  throw new AgentError("E_BAD_REQUEST", message);
}
