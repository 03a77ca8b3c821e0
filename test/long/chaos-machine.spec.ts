import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { expectNothingLeft, spawnOwned, spawnSourceProgram, tempDir, until, type OwnedProcess } from '#testing';
import { Disks } from '../chaos/disks.js';
import { command } from '../chaos/machine.js';
import { Networks, type Network } from '../chaos/networks.js';

afterEach(expectNothingLeft);

const PORT = 7_000;
/** Prints what it hears, with how long that was on its way, and sends as many datagrams to an address as it is told by one. */
const TALKER = `
  const socket = require('node:dgram').createSocket('udp4');
  socket.on('message', (data) => {
    const [what, first, second] = data.toString().trim().split(' ');
    if (what === 'send') for (let n = 0; n < Number(second ?? 1); n++) socket.send(('heard ' + Date.now()).padEnd(1000), ${PORT}, first);
    else console.log(what === 'heard' ? what + ' ' + (Date.now() - Number(first)) : what);
  });
  socket.bind(${PORT}, () => console.log('listening'));
`;

interface Talker {
  readonly network: Network;
  readonly process: OwnedProcess;
  /** What it heard so far, in ms on the way. */
  heard(): number[];
}

async function talkerIn(network: Network): Promise<Talker> {
  const [program = '', ...args] = [...network.through, process.execPath, '-e', TALKER];
  const talker = await spawnOwned({ command: program, args, env: {}, cwd: '/' });
  await until('it listens', () => talker.output().includes('listening'));
  const heard = (): number[] => [...talker.output().matchAll(/^heard (\d+)$/gm)].map(([, ms]) => Number(ms));
  return { network, process: talker, heard };
}

/** Tells one by a line that no fault touches to send to another. */
async function tell(from: Talker, to: Talker, count = 1): Promise<void> {
  const order = `send ${to.network.address} ${count}`;
  const sender = `const s = require('node:dgram').createSocket('udp4'); s.send('${order}', ${PORT}, '${from.network.address}', () => s.close())`;
  await (
    await spawnOwned({ command: process.execPath, args: ['-e', sender], env: {}, cwd: '/' })
  ).exited;
}

describe('on Linux and as root (without, these tests fail and say so)', () => {
  it('a cut takes what one sends to the other, and nothing else, until it is mended', async () => {
    await using networks = await Networks.make(['a', 'b', 'c']);
    const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((name) => talkerIn(networks.of(name))));
    if (a === undefined || b === undefined || c === undefined) throw new Error('all of them were started');
    try {
      await networks.cut('a', 'b');
      await tell(a, b, 3);
      await tell(a, c);
      await until('c hears a', () => c.heard().length === 1);
      await tell(b, a);
      await until('a hears b', () => a.heard().length === 1);
      await networks.mend('a', 'b');
      await until('b hears a again', async () => {
        await tell(a, b);
        return b.heard().length > 0;
      });
      // What was sent into the cut is gone: datagrams of one line do not overtake each other.
      expect(b.heard().every((ms) => ms < 1_000)).toBe(true);
      expect(b.heard().length).toBeLessThan(3);
    } finally {
      await Promise.all([a, b, c].map((talker) => talker.process.killGroup9()));
    }
  });

  it('a slow line delays or loses what a whole one carries at once', async () => {
    await using networks = await Networks.make(['a', 'b']);
    const [a, b] = await Promise.all(['a', 'b'].map((name) => talkerIn(networks.of(name))));
    if (a === undefined || b === undefined) throw new Error('both of them were started');
    try {
      await tell(a, b, 50);
      await until('all arrive', () => b.heard().length === 50);
      await networks.slowDown('a', 'of a worker');
      await tell(a, b, 50);
      await until('some arrive', () => b.heard().length > 55);
      await networks.speedUp('a');
      const late = b.heard().slice(50);
      expect(Math.max(...late)).toBeGreaterThan(30);
      const before = b.heard().length;
      await tell(a, b, 50);
      await until('all arrive again', () => b.heard().length >= before + 50);
    } finally {
      await Promise.all([a, b].map((talker) => talker.process.killGroup9()));
    }
  });

  it('a full disk takes not one byte more, and does when it is freed', async () => {
    await using disks = await Disks.make(1, 8);
    const [disk] = disks.all;
    if (disk === undefined) throw new Error('one was made');
    const write = (): Promise<void> => writeFile(join(disk.path, 'more'), 'x');
    await disk.fill();
    await expect(write()).rejects.toMatchObject({ code: 'ENOSPC' });
    await disk.free();
    await write();
  });

  it('the next run removes what is left of one that was killed, and nothing is left of itself', async () => {
    await using dir = await tempDir('killed');
    const mount = join(dir.path, 'disk');
    await mkdir(mount);
    await command(`ip netns add lk-chaos-${OF_NOBODY}-0`);
    await command(`mount -t tmpfs -o size=1m lk-chaos-${OF_NOBODY} ${mount}`);
    expect(await leftOf(OF_NOBODY)).toHaveLength(3);
    {
      await using _networks = await Networks.make(['a']);
      await using _disks = await Disks.make(1, 1);
      expect(await leftOf(OF_NOBODY)).toEqual([]);
      expect(await leftOf(process.pid)).not.toEqual([]);
    }
    expect(await leftOf(process.pid)).toEqual([]);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('nothing of it is left after %s', async (signal) => {
    const program = await spawnSourceProgram(`
      const { endBySignals } = await import('./test/chaos/machine.ts');
      const { Networks } = await import('./test/chaos/networks.ts');
      const { Disks } = await import('./test/chaos/disks.ts');
      endBySignals();
      await Networks.make(['a', 'b']);
      const disks = await Disks.make(1, 1);
      console.log('made ' + disks.all[0].path);
      setInterval(() => {}, 1000);
    `);
    await until('it has made them', () => program.output().includes('made'));
    expect(await leftOf(program.pid)).not.toEqual([]);
    program.signal(signal);
    await program.exited;
    expect(await leftOf(program.pid)).toEqual([]);
    expect(existsSync(/made (.*)/.exec(program.output())?.[1] ?? '/')).toBe(false);
  });
});

/** No process has this number. */
const OF_NOBODY = 99_999_999;

/** What a run has on the machine. */
async function leftOf(pid: number): Promise<string[]> {
  const mounts = (await readFile('/proc/mounts', 'utf8')).split('\n');
  const namespaces = await readdir('/run/netns').catch(() => []);
  const interfaces = Object.keys(networkInterfaces()).filter((name) => name === `lkc${pid}`);
  return [...[...mounts, ...namespaces].filter((line) => line.includes(`lk-chaos-${pid}`)), ...interfaces];
}
