import { join } from 'node:path';
import { freePorts, spawnOwned, tempDir, until, type OwnedProcess } from '#testing';
import { installPeers } from '../peers/install-peers.js';
import { countCost } from '../process-figures.js';
import { startProgram } from '../program.js';
import { untilQuiet } from '../quiet.js';
import type { Measured } from '../side-runs.js';
import type { WorkSize } from '../work.js';
import { endOf } from './peer-turns.js';

interface Ports {
  readonly ingress: number;
  readonly admin: number;
  readonly nodes: number;
}

/**
 * Calls a second that Restate brings to their end, each session a virtual object of its own. As it is by default: a node
 * alone, which syncs its log before it answers.
 */
export async function runRestate(work: WorkSize): Promise<Measured> {
  const folder = await installPeers();
  await untilQuiet();
  await using scratch = await tempDir('bench');
  const [ingress = 0, admin = 0, nodes = 0, port = 0] = await freePorts(4);
  await using server = await startServer(folder, scratch.path, { ingress, admin, nodes });
  const start = (role: object) =>
    startProgram(`${folder}/restate.mjs`, { cwd: scratch.path, args: [JSON.stringify({ ...work, ...role })] });
  await using service = await start({ role: 'serve', port });
  await service.said('ready');
  await using caller = await start({
    role: 'call',
    ingressUrl: local(ingress),
    adminUrl: local(admin),
    serviceUrl: local(port),
  });
  const beganAtMs = Number(await caller.said('began'));
  const costOf = await countCost({ worker: service.pid, broker: server.pid });
  return await endOf(caller, work, beganAtMs, costOf);
}

/** The binary itself: the command of the package is a Node process that starts it. */
async function startServer(folder: string, cwd: string, ports: Ports): Promise<AsyncDisposable & { pid: number }> {
  const system = `${process.platform}-${process.arch}`;
  const command = join(folder, 'node_modules/@restatedev', `restate-server-${system}`, 'bin/restate-server');
  const args = ['--no-logo', '--base-dir', join(cwd, 'restate'), '--node-name', 'bench', '--listen-mode', 'tcp'];
  const owned = await spawnOwned({
    command,
    args: [...args, '--bind-ip', '127.0.0.1', '--bind-port', String(ports.nodes)],
    cwd,
    env: {
      RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ports.ingress}`,
      RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${ports.admin}`,
      RESTATE_DISABLE_TELEMETRY: 'true',
    },
  });
  const stop = async (): Promise<void> => void (await owned.stop());
  try {
    await untilReady(owned, ports);
  } catch (error) {
    await stop();
    throw error;
  }
  return { pid: owned.pid, [Symbol.asyncDispose]: stop };
}

async function untilReady(owned: OwnedProcess, { admin, ingress }: Ports): Promise<void> {
  let hasEnded = false;
  void owned.exited.then(() => (hasEnded = true));
  const answers = async (url: string): Promise<boolean> => (await fetch(url)).ok;
  await until('restate-server is ready', async () => {
    return (
      hasEnded || ((await answers(`${local(admin)}/health`)) && (await answers(`${local(ingress)}/restate/health`)))
    );
  });
  if (hasEnded) throw new Error(`restate-server ended instead of getting ready:\n${owned.output().slice(-2_000)}`);
}

function local(port: number): string {
  return `http://127.0.0.1:${port}`;
}
