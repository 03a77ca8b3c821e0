import { afterEach, describe, expect, it } from 'vitest';
import { expectNothingLeft, until } from '#testing';
import { expectDecidedOnceInOrder } from '../support/history-check.js';
import { startRoles } from '../support/roles.js';
import { startBrokers } from '../chaos/brokers.js';

afterEach(expectNothingLeft);

describe('on Linux and as root (without, these tests fail and say so)', () => {
  it('a full disk: 503, nothing acknowledged is lost, and all goes on with room and a start of the broker alone (L3)', async () => {
    await using brokers = await startBrokers({ nodes: 1, workers: 0, networks: false, diskMegabytes: 32 });
    const [[node], [disk]] = [brokers.nodes, brokers.disks];
    if (node === undefined || disk === undefined) throw new Error('there is one of each');
    await using roles = await startRoles(node.url);
    const { api } = roles;
    const ids: string[] = [];
    /** A sender that does not know whether it arrived sends it again. */
    const send = async (): Promise<number> => {
      const { status } = await api.send('s', { id: `m${ids.length}`, text: 'x'.repeat(1_000) });
      if (status === 202) ids.push(`m${ids.length}`);
      return status;
    };
    expect(await send()).toBe(202);

    await disk.fill();
    // What still fits into the last page is acknowledged, and has to be kept.
    await until('ingress says that the broker takes nothing more', async () => (await send()) === 503);

    await disk.free();
    await node.restart();
    await until('ingress takes it again', async () => (await send()) === 202);
    expectDecidedOnceInOrder(await api.decided('s', ids.length), ids);
    expect([roles.ingress.pid, roles.worker.pid].every((pid) => pid > 0)).toBe(true);
  });
});
