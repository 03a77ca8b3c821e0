import { rmSync } from 'node:fs';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { tempDir, type TempDir } from '#testing';
import { command, commandAtExit, isLeftover, MachineLacksError, nameOfRun, removeAtExit } from './machine.js';

const CHUNK_BYTES = 4 * 1024 * 1024;
/** The last page counts: a store that has one left goes on for a while. */
const LAST_BYTES = 4 * 1024;

/** A small disk of its own for a node of the broker. */
export class Disk {
  constructor(readonly path: string) {}

  /** Not a byte is left then. */
  async fill(): Promise<void> {
    const file = await open(this.filler, 'w');
    try {
      for (const bytes of [CHUNK_BYTES, LAST_BYTES]) {
        const chunk = Buffer.alloc(bytes);
        while (await file.write(chunk).then(({ bytesWritten }) => bytesWritten === bytes, isFull));
      }
    } finally {
      await file.close();
    }
  }

  async free(): Promise<void> {
    await rm(this.filler, { force: true });
  }

  private get filler(): string {
    return join(this.path, 'filler');
  }
}

/** Small disks in memory, removed with everything on them. */
export class Disks implements AsyncDisposable {
  readonly all: Disk[] = [];
  private readonly remove: () => void;

  private constructor(private readonly dir: TempDir) {
    this.remove = removeAtExit(`the disks in ${dir.path}`, () => {
      // Lazily: a broker that is just ending may still have files open there.
      for (const { path } of this.all) commandAtExit(`umount -l ${path}`);
      rmSync(dir.path, { recursive: true, force: true });
    });
  }

  static async make(count: number, megabytes: number): Promise<Disks> {
    await removeLeftovers();
    const disks = new Disks(await tempDir('disks'));
    try {
      for (let n = 0; n < count; n++) {
        const path = join(disks.dir.path, `disk-${n}`);
        await mkdir(path);
        await command(`mount -t tmpfs -o size=${megabytes}m ${nameOfRun()} ${path}`);
        disks.all.push(new Disk(path));
      }
      return disks;
    } catch (error) {
      await disks[Symbol.asyncDispose]();
      throw new MachineLacksError(
        `small disks cannot be mounted for the broker (${(error as Error).message.trim().replaceAll('\n', ' ')}): it takes ` +
          'Linux, root, and the right to mount; run it there, or leave the faults of disks out with --no-disks',
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.remove();
    await this.dir.remove();
  }
}

function isFull(error: NodeJS.ErrnoException): false {
  if (error.code === 'ENOSPC') return false;
  throw error;
}

async function removeLeftovers(): Promise<void> {
  const mounts = await readFile('/proc/mounts', 'utf8').catch(() => '');
  for (const [source = '', path = ''] of mounts.split('\n').map((line) => line.split(' '))) {
    if (isLeftover(source)) commandAtExit(`umount -l ${path}`);
  }
}
