import { describe, expect, it } from 'vitest';
import { QUEUE_DEFAULTS, STRATEGIES, type QueueSettings } from '#contracts';
import { queueingOf } from './agent-queueing.js';

const ofAgent: QueueSettings = { ...QUEUE_DEFAULTS, maxQueueSize: 3 };
const ofSlack: QueueSettings = { ...QUEUE_DEFAULTS, strategy: 'debounce', maxQueueSize: 5 };
const ask = queueingOf({ queueing: ofAgent, channels: { slack: { queueing: ofSlack } } });

describe('queueing settings of a message', () => {
  it.each<[string, Parameters<typeof ask>[0], QueueSettings]>([
    ['without a message: as the agent says', undefined, ofAgent],
    ['without a channel: as the agent says', {}, ofAgent],
    ['on a platform without settings: as the agent says', { channel: 'telegram:-100' }, ofAgent],
    ['on a platform with settings: as that says', { channel: 'slack:C1' }, ofSlack],
    ['on a platform alone', { channel: 'slack' }, ofSlack],
    ['a platform is what stands before the first colon', { channel: 'slack:a:b' }, ofSlack],
    ['a longer name is another platform', { channel: 'slackbot:C1' }, ofAgent],
    ['a shorter name is another platform', { channel: 'sla:slack:C1' }, ofAgent],
    ['other letters are another platform', { channel: 'Slack:C1' }, ofAgent],
    ['a name of Object.prototype is another platform', { channel: 'constructor:x' }, ofAgent],
    ['its own strategy over the agent’s', { strategy: 'fifo' }, { ...ofAgent, strategy: 'fifo' }],
    [
      'its own strategy over the platform’s',
      { channel: 'slack:C1', strategy: 'drop' },
      { ...ofSlack, strategy: 'drop' },
    ],
  ])('%s', (_title, message, expected) => {
    expect(ask(message)).toEqual(expected);
  });

  it('returns prepared settings and creates no new object, whatever strategy a message names', () => {
    for (const strategy of [undefined, ...STRATEGIES]) {
      for (const channel of [undefined, 'slack:C1', 'nobody:1']) {
        expect(ask({ channel, strategy })).toBe(ask({ channel, strategy }));
      }
    }
  });
});
