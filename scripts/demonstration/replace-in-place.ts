/**
 * Run on a node by rolling.ts: puts another release into the domain of a version that runs, as an administrator with
 * SSH would. Usage: replace-in-place SERVICE VERSION TARBALL
 */
import { Journal, openSession, AgentClient } from "@version-manager/upgrade-agent";

const hookTimeoutMs = 120_000;
const healthAttempts = 120;

async function main([service = "", versionText = "", tarball = ""]: readonly string[]): Promise<void> {
  const version = Number(versionText);
  const status = await new AgentClient("/run/version-manager/agent.sock").status();
  const domain = status.router?.domains.find((row) => row.service === service && row.version === version);
  if (domain === undefined) throw new Error(`No domain of ${service} ${version} runs here.`);
  const journal = new Journal("/var/lib/version-manager/journal.db");
  const key = journal.domainKey(service, version, () => {
    throw new Error("The journal has no key of this domain.");
  });
  journal.close();
  const session = await openSession({
    address: domain.link.managementAddress,
    privateKey: key.privateKey,
    deadlineMs: hookTimeoutMs,
    signal: AbortSignal.timeout(6e5),
  });
  const run = async (command: string) => {
    const { exitCode, output } = await session.exec(command, { timeoutMs: hookTimeoutMs });
    if (exitCode !== 0) throw new Error(`${command} ended with ${exitCode}: ${output}`);
    return output;
  };
  // The running service has the environment that its successor needs.
  const environment = "export $(tr '\\0' '\\n' </proc/$(cat /run/kv.pid)/environ | grep '^VM_') ;";
  const stop = "/var/lib/version-manager/vm-supervise stop";
  await run(`${environment} export -p | grep VM_ >/run/app.env; ${stop}; rm -rf /opt/app`);
  await session.copyIn(tarball, "/opt/app", {});
  await run(
    ". /run/app.env; cd /opt/app; { setsid node index.js >>/var/log/app.log 2>&1 </dev/null & } ; true",
  );
  for (let attempt = 0; attempt < healthAttempts; attempt += 1) {
    const { exitCode } = await session.exec(". /run/app.env; cd /opt/app && bash health", {
      timeoutMs: 20_000,
    });
    if (exitCode === 0) break;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  await session.close();
}

await main(process.argv.slice(2));
