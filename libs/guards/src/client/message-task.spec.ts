import { describe, expect, it } from 'vitest';
import { JsonText, jsonText, type InboxMessage } from '#contracts';
import { taskOfMessage, type TaskSettings } from './message-task.js';

const tokens = { agentToken: 'main', sessionToken: 'telegram=3A42' };
const guard: TaskSettings['guard'] = {
  ...{
    ttlMs: 300_000,
    stale: 'heal',
    maxAttempts: 1,
    whenUnavailable: 'closed',
    answerWithinMs: 2_000,
    keepMs: 1_000,
    keepFailedMs: 'unlimited' as const,
    sweepMs: 1_000,
  },
};
type TaskFrom = TaskSettings['agents'][string]['taskFrom'];
type Said = Partial<Pick<InboxMessage, 'task' | 'text' | 'data'>>;

const taskOf = (message: Said, taskFrom?: TaskFrom, of = tokens) =>
  taskOfMessage({ guard, agents: { main: { taskFrom } } }, of, message);
const keyOf = (message: Said, taskFrom?: TaskFrom) => taskOf(message, taskFrom)?.key;

describe('the task that a message names', () => {
  it('belongs to its session when it has only a name, and lasts as the settings say', () => {
    const key = 'main/telegram:42::deploy';
    expect(taskOf({ task: 'deploy' })).toEqual({ key, ttlMs: 300_000, stale: 'heal', maxAttempts: 1 });
    expect(taskOf({ task: { name: 'deploy' } })).toEqual({ key, ttlMs: 300_000, stale: 'heal', maxAttempts: 1 });
  });

  it('is shared under a namespace, and lasts as the message says', () => {
    const task = { name: 'deploy', namespace: 'shop', ttlMs: 5_000, stale: 'approve' as const };
    expect(taskOf({ task })).toEqual({ key: 'shop::deploy', ttlMs: 5_000, stale: 'approve', maxAttempts: 1 });
  });

  it('takes precedence over what its agent finds in it, and takes nothing from there', () => {
    const taskFrom: TaskFrom = { commands: ['/build'], namespace: 'shop', ttlMs: 7_000, stale: 'approve' };
    const task = { key: 'main/telegram:42::deploy', ttlMs: 300_000, stale: 'heal', maxAttempts: 1 };
    expect(taskOf({ task: 'deploy', text: '/build' }, taskFrom)).toEqual(task);
  });

  it('is none when the message names none, and for an agent without settings', () => {
    expect(taskOf({ text: '/deploy', data: jsonText({ task: 'x' }) })).toBeUndefined();
    for (const agentToken of ['constructor', '__proto__', 'nobody']) {
      expect(taskOf({ text: '/deploy' }, { commands: ['/deploy'] }, { ...tokens, agentToken })).toBeUndefined();
    }
  });
});

describe('the task of a command', () => {
  const taskFrom: TaskFrom = { commands: ['/deploy', '!Build', 'report'], stale: 'approve' };
  const own = (name: string) => `main/telegram:42::${name}`;

  it.each([
    ['/deploy', 'deploy'],
    ['/deploy the shop', 'deploy'],
    ['  \n/deploy', 'deploy'],
    ['/deploy@some_bot now', 'deploy'],
    ['/DEPLOY', 'deploy'],
    ['!build x', 'Build'],
    ['report\nplease', 'report'],
  ])('%j starts %s', (text, name) => {
    expect(taskOf({ text }, taskFrom)).toEqual({ key: own(name), ttlMs: 300_000, stale: 'approve', maxAttempts: 1 });
  });

  it.each(['', ' ', '@report', '/deployed', 'deploy', '!deploy', 'please /deploy', '/deploy, now', '/report'])(
    '%j starts no task',
    (text) => {
      expect(keyOf({ text }, taskFrom)).toBeUndefined();
    },
  );

  describe('with the names of the bot', () => {
    const named: TaskFrom = { ...taskFrom, names: ['my_bot', '@U012AB', 'Helper'] };

    it.each([
      ['/deploy', 'deploy'],
      ['/deploy@my_bot now', 'deploy'],
      ['/deploy@MY_BOT', 'deploy'],
      ['@my_bot /deploy', 'deploy'],
      ['  @My_Bot, /deploy the shop', 'deploy'],
      ['@my_bot: /deploy@my_bot', 'deploy'],
      ['<@U012AB> !build', 'Build'],
      ['<@!u012ab> report', 'report'],
      ['@helper\nreport', 'report'],
    ])('%j starts %s', (text, name) => {
      expect(taskOf({ text }, named)).toEqual({ key: own(name), ttlMs: 300_000, stale: 'approve', maxAttempts: 1 });
    });

    it.each([
      '/deploy@other_bot',
      '/deploy@my_bot2',
      `/deploy@${'x'.repeat(200)}`,
      '/deploy@',
      '@other_bot /deploy',
      '@my_bot',
      '@my_bot@other /deploy',
      '@my_bot @other_bot /deploy',
      '@my_bot/deploy',
      '<@U999> /deploy',
      '<@U012AB/deploy',
    ])('%j starts no task', (text) => {
      expect(keyOf({ text }, named)).toBeUndefined();
    });

    it('a mention starts no task when the names of the bot are not known', () => {
      expect(keyOf({ text: '@my_bot /deploy' }, taskFrom)).toBeUndefined();
    });
  });

  it('is named by the whole word, however long it is', () => {
    const longest = `/${'x'.repeat(64)}`;
    expect(keyOf({ text: longest }, { commands: [longest] })).toBe(own('x'.repeat(64)));
    expect(keyOf({ text: `${longest}y` }, { commands: [longest] })).toBeUndefined();
  });

  it('takes precedence over the data', () => {
    const both = { commands: ['/deploy'], data: 'task' };
    expect(keyOf({ text: '/deploy', data: jsonText({ task: 'other' }) }, both)).toBe(own('deploy'));
    expect(keyOf({ text: 'hello', data: jsonText({ task: 'other' }) }, both)).toBe(own('other'));
  });
});

describe('the task in the data of a message', () => {
  const at = (data: unknown, path = 'job.name') =>
    keyOf({ data: JsonText.of(data) }, { data: path, namespace: 'jobs' });

  it('is found by its path', () => {
    expect(at({ job: { name: 'nightly' } })).toBe('jobs::nightly');
    expect(at('nightly', 'length')).toBeUndefined();
    expect(at([{ name: 'first' }], '0.name')).toBe('jobs::first');
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a text within the path', { job: 'name' }],
    ['a number', { job: { name: 5 } }],
    ['an empty text', { job: { name: '' } }],
    ['an object', { job: { name: {} } }],
  ])('is none for %s', (_title, data) => {
    expect(at(data)).toBeUndefined();
  });

  it('reads only fields of the message, never inherited ones', () => {
    for (const path of ['__proto__.name', 'constructor.name', 'job.constructor.name', 'toString.name']) {
      expect(at({ job: {} }, path)).toBeUndefined();
    }
    expect(at(JSON.parse('{"__proto__": {"name": "own"}}'), '__proto__.name')).toBe('jobs::own');
  });

  it('guards any text: the same text is the same task, even when it is not a valid name', () => {
    const key = (name: string) => at({ job: { name } });
    for (const text of ['a::b', ':a', 'two\nlines', 'x'.repeat(129)]) {
      expect(key(text)).toMatch(/^jobs::sha256-[0-9a-f]{32}$/);
      expect(key(text)).toBe(key(text));
      expect(key(text)).not.toBe(key(`${text}!`));
    }
    expect(key('with spaces / and ü')).toBe('jobs::with spaces / and ü');
  });
});
