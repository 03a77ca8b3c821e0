import { describe, expect, it } from 'vitest';
import { Names } from '#contracts';
import type { TaskEvent } from '#guards';
import { silentLogger, type Logger } from '#telemetry';
import { TaskEvents } from './task-events.publisher.js';

const event: TaskEvent = { type: 'task-acquired', key: 'main/s::deploy', runId: 'r', token: 3, at: 1 };

function events(isUp = true) {
  const published: [string, unknown][] = [];
  const lines: [string, object, string][] = [];
  const nc = { publish: (subject: string, body: string) => void published.push([subject, JSON.parse(body)]) };
  const log: Logger = {
    ...silentLogger,
    info: (fields, message) => void lines.push(['info', fields, message]),
    debug: (fields, message) => void lines.push(['debug', fields, message]),
  };
  const told = new TaskEvents({ isUp, nc } as never, new Names('lk', 64), log);
  return { published, lines, tell: (more: Partial<TaskEvent> = {}) => told.tell({ ...event, ...more }) };
}

describe('events of tasks', () => {
  it('are published under the scope and the name of the task', () => {
    const { tell, published } = events();
    tell({ status: 'failed' });
    tell({ key: 'bare' });
    expect(published).toEqual([
      ['lk.events.tasks.main=2Fs.deploy.task', { ...event, status: 'failed' }],
      ['lk.events.tasks.=.bare.task', { ...event, key: 'bare' }],
    ]);
  });

  it('go to operators when a person or a time limit intervened, without the token', () => {
    const { tell, lines } = events();
    tell();
    tell({ type: 'task-healed' });
    tell({ type: 'task-approved', by: 'ann' });
    expect(lines.map(([level, , message]) => [level, message])).toEqual([
      ['debug', 'task-acquired'],
      ['info', 'task-healed'],
      ['info', 'task-approved'],
    ]);
    expect(lines[2]?.[1]).toEqual({ key: event.key, runId: 'r', status: undefined, by: 'ann' });
  });

  it('are dropped while the broker is away, and delay nothing', () => {
    const { tell, published, lines } = events(false);
    tell();
    expect([published, lines.length]).toEqual([[], 1]);
  });
});
