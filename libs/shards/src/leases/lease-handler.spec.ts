import { describe, expect, it } from 'vitest';
import { settled } from '#testing';
import type { Duty } from './lease-handler.js';
import { further, inHandoff, left, owned, reached, setUpHandler } from './lease-handler.fixture.js';
import { MAX_OPEN } from './lease.js';
import { Gate } from '../manual-ports.fixture.js';

describe('a shard is acquired', () => {
  it('by one compare-and-set that names us and keeps the last owner’s progress', async () => {
    const { handler, duty, leases, work, told } = setUpHandler();
    handler.acquire(duty, left('b/1', 7), true);
    expect(duty.state).toBe('acquiring');
    const lease = { v: 1, writeId: 'write-1', owner: 'a/1', ...reached };
    expect(leases.writes).toMatchObject([{ shard: 3, expected: 7, lease }]);
    await settled();
    expect(work.calls).toEqual([]);
    const revision = leases.last.stand();
    await handler.whenQuiet();
    expect(told).toEqual([[3, { revision, lease }]]);
    expect(duty).toMatchObject({ state: 'owned', isCertain: true, lease: { revision, lease } });
    expect(work.starts.get(3)).toMatchObject({ ...reached, isCrash: true });
    expect(work.calls).toEqual(['open 3']);
  });

  it('from the beginning when it never had an owner', async () => {
    const { handler, duty, leases, work } = setUpHandler();
    handler.acquire(duty, undefined, false);
    expect(leases.last).toMatchObject({ expected: 0, lease: { owner: 'a/1', read: 0, tail: 0, open: [] } });
    leases.last.stand();
    await handler.whenQuiet();
    expect(work.starts.get(3)).toEqual({ read: 0, tail: 0, open: [], isCrash: false });
  });

  it('and counts as ours only when it is open', async () => {
    const { handler, duty, leases, work } = setUpHandler();
    work.opening.set(3, new Gate());
    handler.acquire(duty, undefined, false);
    leases.last.stand();
    await settled();
    expect(duty.state).toBe('opening');
    work.opening.get(3)?.pass();
    await handler.whenQuiet();
    expect(duty.state).toBe('owned');
  });

  it('not when another member was faster: it is never opened here, and we know its owner', async () => {
    const { handler, duty, leases, work, told } = setUpHandler();
    handler.acquire(duty, left(null, 7), false);
    leases.last.conflict(left('b/1', 8));
    await handler.whenQuiet();
    expect(duty).toEqual({ shard: 3, state: 'away', isCertain: true, doubts: 0 });
    expect(work.calls).toEqual([]);
    expect(told).toEqual([[3, left('b/1', 8)]]);
    // It was never ours.
    expect(handler.lost).toBe(0);
  });

  it('not when the expected lease is gone, and we know that', async () => {
    const { handler, duty, leases, told } = setUpHandler();
    handler.acquire(duty, left(null, 7), false);
    leases.last.conflict();
    await handler.whenQuiet();
    expect(duty.state).toBe('away');
    expect(told).toEqual([[3, undefined]]);
  });

  it('not when the process stops while the outcome is unclear', async () => {
    const { handler, duty, leases, work, told } = setUpHandler();
    handler.acquire(duty, undefined, false);
    leases.last.abandon();
    await handler.whenQuiet();
    expect([duty.state, work.calls, told]).toEqual(['away', [], []]);
  });

  it('with a new write id every time: it identifies an unclear write', async () => {
    const { handler, duty, leases } = setUpHandler();
    handler.acquire(duty, undefined, false);
    leases.last.conflict();
    await handler.whenQuiet();
    handler.acquire(duty, undefined, false);
    expect(leases.writes.map(({ lease }) => lease.writeId)).toEqual(['write-1', 'write-2']);
  });

  it('and a bug that prevents its opening is logged, and blocks no other shard', async () => {
    const { handler, duty, leases, work, log } = setUpHandler();
    work.opening.set(3, new Gate());
    handler.acquire(duty, undefined, false);
    leases.last.stand();
    await settled();
    work.opening.get(3)?.fail(new Error('a bug'));
    await settled();
    expect(leases.last.lease.owner).toBeNull();
    leases.last.stand();
    await handler.whenQuiet();
    expect(duty.state).toBe('away');
    expect(log.of('error')).toEqual(['a shard cannot be opened']);
  });
});

describe('while a shard is on its way to us', () => {
  it.each(['acquiring', 'opening'] as const)(
    'a lapse makes it uncertain (%s): its lease is written again once it is open, and then it resumes',
    async (state) => {
      const { handler, duty, leases, work } = setUpHandler();
      work.opening.set(3, new Gate());
      handler.acquire(duty, undefined, false);
      if (state === 'opening') leases.last.stand();
      await settled();
      expect(duty.state).toBe(state);
      duty.isCertain = false;
      if (state === 'acquiring') leases.last.stand();
      await settled();
      work.opening.get(3)?.pass();
      await settled();
      expect([duty.state, duty.isCertain, leases.writes.length]).toEqual(['owned', false, 2]);
      expect(leases.last).toMatchObject({ expected: 11, lease: { owner: 'a/1' } });
      expect(work.calls).toEqual(['open 3']);
      leases.last.stand();
      await handler.whenQuiet();
      expect(duty.isCertain).toBe(true);
      expect(work.calls).toEqual(['open 3', 'resume 3']);
    },
  );

  it('it may be lost: it is away, dropped and counted', async () => {
    const { handler, duty, leases, work, told } = setUpHandler();
    work.opening.set(3, new Gate());
    handler.acquire(duty, undefined, false);
    leases.last.stand();
    await settled();
    void handler.confirm(duty);
    await settled();
    leases.last.conflict(left('b/1', 99));
    await settled();
    work.opening.get(3)?.pass();
    await handler.whenQuiet();
    expect([duty.state, duty.lease, handler.lost]).toEqual(['away', undefined, 1]);
    expect(work.calls).toContain('drop 3');
    expect(told.at(-1)).toEqual([3, left('b/1', 99)]);
  });

  it('and is lost, nothing of it stays open: work that started after the loss is dropped too', async () => {
    const { handler, duty, leases, work } = setUpHandler();
    work.opening.set(3, new Gate());
    handler.acquire(duty, undefined, false);
    leases.last.stand();
    await settled();
    void handler.confirm(duty);
    await settled();
    leases.last.conflict(left('b/1', 99));
    await settled();
    work.opening.get(3)?.pass();
    await handler.whenQuiet();
    expect([...work.alive]).toEqual([]);
  });
});

describe('a shard is given away', () => {
  it('when its work is released: then one write says how far it is, and that it has no owner', async () => {
    const { handler, duty, leases, work, told, revision } = await owned();
    work.releasing.set(3, new Gate());
    handler.release(duty);
    expect(duty.state).toBe('releasing');
    await settled();
    expect([work.calls, leases.writes.length]).toEqual([['release 3'], 1]);
    work.releasing.get(3)?.pass(further);
    await settled();
    expect(leases.last).toMatchObject({ shard: 3, expected: revision, lease: { v: 1, owner: null, ...further } });
    expect(duty.state).toBe('releasing');
    const given = leases.last.stand();
    await handler.whenQuiet();
    expect(duty).toMatchObject({ state: 'away', lease: undefined });
    expect(told.at(-1)).toMatchObject([3, { revision: given, lease: { owner: null } }]);
    expect([handler.lost, work.calls]).toEqual([0, ['release 3']]);
  });

  it('with no more sessions in handoff than a lease may name: the work waits until the others have ended', async () => {
    const { handler, duty, leases, work } = await owned();
    work.releasing.set(3, new Gate());
    handler.release(duty);
    await settled();
    expect(work.maxHandoffs).toEqual([MAX_OPEN]);
    const open = Array.from({ length: MAX_OPEN }, (_, i) => inHandoff(`main.${i}`, i + 1));
    work.releasing.get(3)?.pass({ read: 1_000, tail: 90, open: [...open, { session: 'main.w', from: 900 }] });
    await settled();
    expect(leases.last.lease).toMatchObject({ owner: null, read: 899, open });
  });

  it('after a refresh that is in flight: its write expects the newest revision', async () => {
    const { handler, duty, leases, work } = await owned();
    work.reached = further;
    void handler.refresh(duty);
    await settled();
    work.reached = { ...further, read: 50 };
    handler.release(duty);
    await settled();
    expect(leases.writes).toHaveLength(2);
    const revision = leases.last.stand();
    await settled();
    expect(leases.last).toMatchObject({ expected: revision, lease: { owner: null, read: 50 } });
    leases.last.stand();
    await handler.whenQuiet();
    expect(duty.state).toBe('away');
  });

  it('and no waiting write comes in between', async () => {
    const { handler, duty, leases, work } = await owned();
    work.releasing.set(3, new Gate());
    void handler.confirm(duty);
    void handler.confirm(duty);
    await settled();
    handler.release(duty);
    leases.last.stand();
    await settled();
    expect(leases.writes).toHaveLength(2);
  });

  it('not when it was lost in the meantime: its new owner gives it away', async () => {
    const { handler, duty, leases, work } = await owned();
    work.releasing.set(3, new Gate());
    work.reached = further;
    void handler.refresh(duty);
    await settled();
    handler.release(duty);
    leases.last.conflict(left('b/1', 99));
    await settled();
    work.releasing.get(3)?.pass(further);
    await handler.whenQuiet();
    expect([leases.writes.length, duty.state, handler.lost]).toEqual([2, 'away', 1]);
  });

  it('not when it was lost and taken again in the meantime: the end of the old work is not the end of the new work', async () => {
    const { handler, duty, leases, work } = await owned();
    work.releasing.set(3, new Gate());
    work.reached = further;
    void handler.refresh(duty);
    await settled();
    handler.release(duty);
    leases.last.conflict(left('b/1', 99));
    await settled();
    if (duty.state === 'away') {
      handler.acquire(duty, left(null, 100), false);
      leases.last.stand();
      await settled();
    }
    const before = leases.writes.length;
    work.releasing.get(3)?.pass(further);
    await settled();
    expect(leases.writes.slice(before).map(({ lease }) => lease.owner)).toEqual([]);
  });

  it('also when the write is refused: then it is not ours anyway', async () => {
    const { handler, duty, leases, told } = await owned();
    handler.release(duty);
    await settled();
    leases.last.conflict(left('b/1', 99));
    await handler.whenQuiet();
    expect([duty.state, duty.lease]).toEqual(['away', undefined]);
    expect(told.at(-1)).toEqual([3, left('b/1', 99)]);
  });

  it('also when the process stops before the outcome is clear', async () => {
    const { handler, duty, leases } = await owned();
    handler.release(duty);
    await settled();
    leases.last.abandon();
    await handler.whenQuiet();
    expect(duty.state).toBe('away');
  });
});

describe('the handler is quiet', () => {
  it('when no shard is being acquired or released, including moves that began while a caller waited', async () => {
    const { handler, duty, leases } = await owned();
    let isQuiet = false;
    const others = [4, 5].map((shard): Duty => ({ shard, state: 'away', isCertain: true, doubts: 0 }));
    handler.release(duty);
    void handler.whenQuiet().then(() => (isQuiet = true));
    await settled();
    for (const other of others) {
      const before = leases.last;
      handler.acquire(other, undefined, false);
      before.stand();
      await settled();
      expect(isQuiet).toBe(false);
    }
    leases.last.stand();
    await settled();
    expect(isQuiet).toBe(true);
  });
});
