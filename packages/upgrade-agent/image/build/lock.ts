/**
 * A lock between processes that ends with its holder, however it dies: util-linux' `flock` holds it while a pipe to
 * this process is open.
 */
import { spawn } from "node:child_process";
import { AgentError } from "../../errors.ts";

/** After this time of waiting `onWait` is called once, ms. */
const noticeMs = 500;

/** Waits for the lock and answers what releases it. `file` is created and stays. */
export async function takeLock(
  file: string,
  options: { readonly onWait: () => void; readonly signal?: AbortSignal | undefined },
): Promise<() => Promise<void>> {
  options.signal?.throwIfAborted();
  const holder = spawn("flock", [file, "sh", "-c", "echo held; exec cat"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const gone = new Promise<void>((resolve) => void holder.once("close", () => resolve()));
  const release = async (): Promise<void> => {
    holder.stdin.end();
    await gone;
  };
  const stop = (): void => void holder.kill();
  const notice = setTimeout(options.onWait, noticeMs);
  options.signal?.addEventListener("abort", stop, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      holder.once("error", (error) => reject(error));
      holder.stdout.once("data", () => resolve());
      holder.once("close", () => reject(new Error("flock ended")));
    });
  } catch (error) {
    options.signal?.throwIfAborted();
    throw new AgentError(
      "E_IMAGE_BUILD",
      `Cannot lock ${file}; is util-linux installed and the directory writable?`,
      error,
    );
  } finally {
    clearTimeout(notice);
    options.signal?.removeEventListener("abort", stop);
  }
  return release;
}
