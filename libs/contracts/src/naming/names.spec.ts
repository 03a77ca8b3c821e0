import { describe, expect, it } from 'vitest';
import { DEFAULT_SHARDS, NAMESPACE_PATTERN, Names } from './names.js';
import { shardOf } from './shard.js';

const names = new Names('lk', DEFAULT_SHARDS);
const key = names.sessionTokens('main', 'telegram:-100:42');

describe('Names', () => {
  it('streams carry the namespace', () => {
    const { inboxStream, turnsStream, eventsStream } = new Names('team2', 16);
    expect([inboxStream, turnsStream, eventsStream]).toEqual(['TEAM2_INBOX', 'TEAM2_TURNS', 'TEAM2_EVENTS']);
  });

  it('a session is two tokens and their shard', () => {
    const shard = shardOf('main', 'telegram=3A-100=3A42', DEFAULT_SHARDS);
    expect(key).toEqual({ agentToken: 'main', sessionToken: 'telegram=3A-100=3A42', shard });
  });

  it('spells every subject', () => {
    const { shard } = key;
    expect(names.ingestSubject(key)).toBe('lk.in.main.telegram=3A-100=3A42');
    expect(names.inboxSubject(key)).toBe(`lk.inbox.${shard}.main.telegram=3A-100=3A42`);
    expect(names.turnsSubject(key)).toBe(`lk.turns.${shard}.main.telegram=3A-100=3A42`);
    expect(names.turnEventsSubject(key)).toBe(`lk.events.${shard}.main.telegram=3A-100=3A42.turn`);
    expect(names.inboxShardFilter(7)).toBe('lk.inbox.7.>');
    expect(names.shardRpcSubject(7)).toBe('lk.rpc.shard.7');
    expect(names.numberKey(key, 7)).toBe('main.telegram=3A-100=3A42.7');
  });

  it('spells the names of a task, with and without a scope', () => {
    expect(names.taskKey('main/a:1::report')).toBe('main=2Fa=3A1.report');
    expect(names.taskKey('report')).toBe('report');
    expect(names.taskKeysOfScope('main/a:1')).toBe('main=2Fa=3A1.*');
    expect(names.taskEventsSubject('main/a:1::report')).toBe('lk.events.tasks.main=2Fa=3A1.report.task');
    expect(names.taskEventsSubject('report')).toBe('lk.events.tasks.=.report.task');
    expect(names.guardSubject('approve-retry')).toBe('lk.guard.tasks.approve-retry');
    expect(names.tasksBucket).toBe('lk_tasks');
    expect(names.taskFailuresBucket).toBe('lk_task_failures');
  });

  it('parses the session from the subjects of both streams, even with an invalid token', () => {
    expect(names.parseSessionSubject(names.inboxSubject(key))).toEqual(key);
    expect(names.parseSessionSubject(names.turnsSubject(key))).toEqual(key);
    const forged = { agentToken: 'MAIN', sessionToken: '=3a', shard: 3 };
    expect(names.parseSessionSubject(names.inboxSubject(forged))).toEqual(forged);
  });

  it.each(['', 'lk.inbox', 'lk.inbox.3.main'])('refuses the subject %j', (subject) => {
    expect(() => names.parseSessionSubject(subject)).toThrow('<namespace>.<kind>.<shard>.<agent>.<session>');
  });

  it.each<[string, boolean]>([
    ['lk', true],
    ['a', true],
    ['team2', true],
    ['a'.repeat(16), true],
    ['a'.repeat(17), false],
    ['', false],
    ['2team', false],
    ['Lk', false],
    ['l.k', false],
    ['l-k', false],
    ['lk\n', false],
  ])('namespace %j: %s', (namespace, isOne) => expect(NAMESPACE_PATTERN.test(namespace)).toBe(isOne));
});
