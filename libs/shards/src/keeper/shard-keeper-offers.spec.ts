import { describe, expect, it } from 'vitest';
import { ALL, setUpKeeper, sharesOf } from './shard-keeper.fixture.js';

/** A shard's progress is written within this time, and what was heard of is looked at within it too. */
const REFRESHED_MS = 3_100;
/** The keeper reads the leases this often, also when their watch tells it nothing. */
const READ_MS = 10_100;
const OURS = sharesOf('a', 'a', 'b');
const THEIRS = sharesOf('b', 'a', 'b');

/** `a/1`, which has the agent `main`, beside `b/1`, which has the agents given here. */
async function beside(...theirs: string[]) {
  const parts = setUpKeeper({ agents: () => ['main'] });
  const { broker } = parts;
  if (theirs.length > 0)
    broker.setMember('b', { v: 1, incarnation: 'b/1', draining: false, agents: theirs, takesOffers: true });
  else broker.setMember('b', { v: 1, incarnation: 'b/1', draining: false, agents: ['main', 'research'] });
  for (const shard of THEIRS) broker.lease(shard, 'b/1');
  await parts.keeper.start();
  return parts;
}

const needing = (agent: string) => ({ read: 0, tail: 0, open: [], needs: [{ agent, waitedMs: 0 }] });

describe('a keeper whose shards need an agent', () => {
  it('tells the others which agents it has, and that it takes shards by need', async () => {
    const { broker } = await beside('main');
    expect(broker.members.get('a')).toMatchObject({ agents: ['main'], takesOffers: true });
  });

  it('that it does not have gives them to a member that has it, and the lease names the agent', async () => {
    const { broker, clock, work, keeper } = await beside('main', 'research');
    expect(keeper.owned).toEqual(OURS);
    work.reached = needing('research');
    await clock.advance(REFRESHED_MS);
    expect(keeper.owned).toEqual([]);
    for (const shard of OURS)
      expect(broker.leases.get(shard)?.lease).toMatchObject({ owner: null, needs: [{ agent: 'research' }] });
  });

  it.each([
    ['that no member has', 'typo', ['main', 'research']],
    ['that only a member of a version without offers has', 'research', []],
  ])('%s keeps them, and does not write the lease over and over', async (_title, agent, theirs) => {
    const { broker, clock, work, keeper } = await beside(...theirs);
    work.reached = needing(agent);
    await clock.advance(REFRESHED_MS);
    const { write } = broker.asked;
    expect(broker.leases.get(OURS[0] ?? 0)?.lease).toMatchObject({ owner: 'a/1', needs: [{ agent }] });
    await clock.advance(10 * REFRESHED_MS);
    expect([keeper.owned, broker.asked.write]).toEqual([OURS, write]);
  });

  it('takes other members’ shards that need what it has, once their owner has given them away', async () => {
    const { broker, clock, work, keeper } = await beside('research');
    const [wanted = 0] = THEIRS;
    broker.lease(wanted, 'b/1', needing('main'));
    await clock.advance(1_000);
    expect(keeper.owned).toEqual(OURS);
    broker.lease(wanted, null, needing('main'));
    work.reached = needing('main');
    await clock.advance(1_000);
    expect(keeper.owned).toEqual([...OURS, wanted].toSorted((a, b) => a - b));
    expect(work.starts.get(wanted)).toMatchObject({ needs: [{ agent: 'main' }] });
    // It goes back to its usual owner when it needs nothing any more.
    work.reached = { read: 0, tail: 0, open: [] };
    await clock.advance(REFRESHED_MS);
    expect(keeper.owned).toEqual(OURS);
    expect(broker.leases.get(wanted)?.lease).not.toHaveProperty('needs');
  });

  it('hears of the needs of other members’ shards as they are written, or sees them at its next read', async () => {
    const { broker, clock, work, keeper } = await beside('research');
    const [heard = 0, read = 0] = THEIRS;
    broker.lease(heard, null, needing('main'));
    broker.isHeard = false;
    broker.lease(read, null, needing('main'));
    work.reached = needing('main');
    await clock.advance(READ_MS);
    expect(keeper.owned).toEqual(expect.arrayContaining([heard, read]));
  });

  it('keeps all shards when the only other member that has the agent drains or leaves', async () => {
    const { broker, clock, work, keeper } = await beside('main', 'research');
    work.reached = needing('research');
    const drains = { v: 1 as const, incarnation: 'b/1', agents: ['main', 'research'], takesOffers: true as const };
    broker.setMember('b', { ...drains, draining: true });
    for (const shard of THEIRS) broker.lease(shard, null);
    await clock.advance(REFRESHED_MS);
    expect(keeper.owned).toEqual(ALL);
  });
});
