import { describe, expect, it } from 'vitest';
import { settled } from '#testing';
import type { Duty } from './lease-handler.js';
import { further, inHandoff, left, owned, reached, setUpHandler } from './lease-handler.fixture.js';
import { MAX_OPEN, type ShardProgress } from './lease.js';
import { Gate } from '../manual-ports.fixture.js';

describe('progress is written', () => {
  it('when it has changed, on top of what was written last', async () => {
    const { handler, duty, leases, work, revision } = await owned();
    work.reached = further;
    const refreshing = handler.refresh(duty);
    await settled();
    expect(leases.last).toMatchObject({ expected: revision, lease: { owner: 'a/1', ...further } });
    const next = leases.last.stand();
    await refreshing;
    expect(duty.lease?.revision).toBe(next);
    work.reached = { ...further, tail: 91 };
    void handler.refresh(duty);
    await settled();
    expect(leases.last).toMatchObject({ expected: next, lease: { tail: 91 } });
  });

  it.each<[string, Partial<ShardProgress>]>([
    ['where it is read to', { read: 41 }],
    ['the last record', { tail: 91 }],
    ['an open session', { open: [{ session: 'main.s', from: 13 }, inHandoff('main.t', 30)] }],
    [
      'the holder of a session in handoff',
      {
        open: [
          { session: 'main.s', from: 12 },
          { session: 'main.t', from: 30 },
        ],
      },
    ],
  ])('whenever it changes: %s', async (_what, change) => {
    const { handler, duty, leases, work } = await owned();
    work.reached = { ...reached, ...change };
    void handler.refresh(duty);
    await settled();
    expect(leases.writes).toHaveLength(2);
    expect(leases.last.lease).toMatchObject(change);
  });

  it('not when it has not changed', async () => {
    const { handler, duty, leases, work } = await owned();
    work.reached = structuredClone(reached);
    await handler.refresh(duty);
    expect([work.timesAsked, leases.writes.length]).toEqual([1, 1]);
  });

  it('not when it has not changed within its bound', async () => {
    const { handler, duty, leases, work } = await owned();
    work.reached = { ...reached, open: [...reached.open, { session: 'main.u', from: 99 }] };
    await handler.refresh(duty);
    expect(leases.writes).toHaveLength(1);
  });

  it('in no more sessions than a lease may name', async () => {
    const { handler, duty, leases, work } = await owned();
    const open = Array.from({ length: MAX_OPEN + 3 }, (_, i) => ({ session: `main.${i}`, from: i + 1 }));
    work.reached = { read: 1_000, tail: 90, open };
    void handler.refresh(duty);
    await settled();
    expect(leases.last.lease).toMatchObject({ read: MAX_OPEN, open: open.slice(0, MAX_OPEN) });
  });

  it('not while it is not known', async () => {
    const { handler, duty, leases, work } = await owned();
    work.reached = undefined;
    await handler.refresh(duty);
    expect(leases.writes).toHaveLength(1);
  });

  it('not while another write is in flight', async () => {
    const { handler, duty, leases, work } = await owned();
    work.reached = further;
    void handler.confirm(duty);
    await handler.refresh(duty);
    expect([work.timesAsked, leases.writes.length]).toEqual([0, 2]);
    leases.last.stand();
    await settled();
    void handler.refresh(duty);
    await settled();
    expect(leases.writes).toHaveLength(3);
  });

  it('not when another write came in between: its answer may be older', async () => {
    const { handler, duty, leases, work } = await owned();
    work.asking = new Gate();
    const refreshing = handler.refresh(duty);
    void handler.confirm(duty);
    await settled();
    leases.last.stand();
    await settled();
    work.asking.pass(further);
    await refreshing;
    expect(leases.writes).toHaveLength(2);
  });

  it('not when the shard was given up while we asked', async () => {
    const { handler, duty, leases, work } = await owned();
    work.asking = new Gate();
    work.releasing.set(3, new Gate());
    const refreshing = handler.refresh(duty);
    handler.release(duty);
    work.asking.pass(further);
    await refreshing;
    expect(leases.writes).toHaveLength(1);
  });

  it.each(['away', 'acquiring', 'opening', 'releasing'] as const)('not of a shard that is %s', async (state) => {
    const { handler, duty, work } = await owned();
    duty.state = state;
    await handler.refresh(duty);
    expect(work.timesAsked).toBe(0);
  });
});

describe('a lease that is written again', () => {
  it('has the same content; when it is stored, the shard is certainly ours and resumes', async () => {
    const { handler, duty, leases, work, revision } = await owned();
    duty.isCertain = false;
    const confirming = handler.confirm(duty);
    await settled();
    expect(leases.last).toMatchObject({ expected: revision, lease: { writeId: 'write-2', owner: 'a/1', ...reached } });
    expect([duty.isCertain, work.calls]).toEqual([false, []]);
    leases.last.stand();
    await confirming;
    expect([duty.isCertain, work.calls]).toEqual([true, ['resume 3']]);
  });

  it('of a shard that was certain resumes nothing: nothing waits', async () => {
    const { handler, duty, leases, work } = await owned();
    const confirming = handler.confirm(duty);
    await settled();
    leases.last.stand();
    await confirming;
    expect(work.calls).toEqual([]);
  });

  it('and is refused means that the shard is lost: it is dropped at once', async () => {
    const { handler, duty, leases, work, told } = await owned();
    duty.isCertain = false;
    const confirming = handler.confirm(duty);
    await settled();
    leases.last.conflict(left('b/1', 99));
    await confirming;
    expect([duty.state, duty.lease, handler.lost]).toEqual(['away', undefined, 1]);
    expect(work.calls).toEqual(['drop 3']);
    expect(told.at(-1)).toEqual([3, left('b/1', 99)]);
  });

  it('loses the shard in the same way when a refresh is refused', async () => {
    const { handler, duty, leases, work } = await owned();
    work.reached = further;
    const refreshing = handler.refresh(duty);
    await settled();
    leases.last.conflict(left('b/1', 99));
    await refreshing;
    expect([duty.state, handler.lost, work.calls]).toEqual(['away', 1, ['drop 3']]);
  });

  it('waits for the write before it, however long that is unclear, and expects its revision', async () => {
    const { handler, duty, leases } = await owned();
    void handler.confirm(duty);
    const second = handler.confirm(duty);
    await settled();
    expect(leases.writes).toHaveLength(2);
    const revision = leases.last.stand();
    await settled();
    expect(leases.writes).toHaveLength(3);
    expect(leases.last.expected).toBe(revision);
    leases.last.stand();
    await second;
  });

  it('is not written by a call that waited, when the shard was lost in the meantime', async () => {
    const { handler, duty, leases, work } = await owned();
    void handler.confirm(duty);
    const second = handler.confirm(duty);
    await settled();
    leases.last.conflict(left('b/1', 99));
    await second;
    expect([leases.writes.length, handler.lost, work.calls]).toEqual([2, 1, ['drop 3']]);
  });

  it('of one shard does not wait for a write of another shard', async () => {
    const { handler, duty, leases, work } = await owned();
    const other: Duty = { shard: 4, state: 'away', isCertain: true, doubts: 0 };
    void handler.confirm(duty);
    await settled();
    handler.acquire(other, undefined, false);
    leases.last.stand();
    await settled();
    expect([other.state, work.calls]).toEqual(['owned', ['open 4']]);
  });

  it('is not sent while we have no lease', async () => {
    const { handler, duty, leases } = setUpHandler();
    await handler.confirm(duty);
    expect(leases.writes).toEqual([]);
  });
});
