import { describe, expect, it } from 'vitest';
import { Names, type ControlMessage, type InboxMessage } from '#contracts';
import type { BrokerConnection, PublishChannel, PublishOutcome } from '#jetstream';
import { silentLogger } from '#telemetry';
import type { GateState } from './floor-watch.client.js';
import { InboxPublisher } from './inbox.publisher.js';

const names = new Names('lk', 64);
const key = names.sessionTokens('main', 's');
const message: InboxMessage = { v: 1, kind: 'message', id: 'm1', text: 'x' };
const order: ControlMessage = { v: 1, kind: 'control', id: 'c1', op: 'cancel', target: { what: 'session' } };
const stored = (seq: number, duplicate = false): PublishOutcome => ({ kind: 'stored', seq, duplicate });

/** A publisher whose broker gives `outcomes` one after another, behind a gate that the test moves. */
function publisherOf(outcomes: PublishOutcome[], gate: Partial<Gate> = {}) {
  const full: Gate = {
    state: 'open',
    mark: 0,
    doubts: 0,
    problem: 'LK_INBOX: it was set back; run `lanekeeper repair inbox`',
    admit: () => Promise.resolve(full.state),
    doubt: () => void full.doubts++,
    ...gate,
  };
  let sent = 0;
  const channel = {
    publish: async (): Promise<PublishOutcome> => {
      await onPublish();
      return outcomes[sent++] ?? stored(1);
    },
  };
  let onPublish = async (): Promise<void> => {};
  const connection = { isUp: true, whenUp: () => Promise.resolve() } as unknown as BrokerConnection;
  const publisher = new InboxPublisher(connection, channel as unknown as PublishChannel, names, silentLogger, full);
  return { publisher, gate: full, sent: () => sent, during: (fn: () => void) => (onPublish = async () => fn()) };
}

interface Gate {
  state: GateState;
  mark: number;
  doubts: number;
  problem: string | undefined;
  admit(deadline: number): Promise<GateState>;
  doubt(): void;
}

const rewound = (extra: object) => ({
  problem: expect.objectContaining({ status: 503, code: 'inbox-rewound', retryAfterS: 30, ...extra }),
});

describe('while the inbox is rewound', () => {
  it('nothing is published, and the sender is told what has to be run and what to send again', async () => {
    const { publisher, sent } = publisherOf([], { state: 'rewound' });
    const detail = expect.stringMatching(/run `lanekeeper repair inbox`, then send it again with id "m1"\.$/);
    await expect(publisher.publish(key, message, undefined, 0)).rejects.toMatchObject(
      rewound({ detail, extra: { messageId: 'm1' } }),
    );
    await expect(publisher.publish(key, order, undefined, 0)).rejects.not.toHaveProperty('problem.extra');
    expect(sent()).toBe(0);
  });

  it('and was not found so yet, an acknowledgement at or below the mark is none', async () => {
    for (const seq of [1, 19, 20]) {
      const { publisher, gate } = publisherOf([stored(seq)], { mark: 20 });
      await expect(publisher.publish(key, message, undefined, 0)).rejects.toMatchObject(rewound({}));
      expect(gate.doubts).toBe(1);
    }
  });
});

describe('an acknowledgement', () => {
  it('above the mark is one, also when an idle shard’s mark came to that very message in between', async () => {
    const { publisher, gate, during } = publisherOf([stored(21)], { mark: 20 });
    during(() => (gate.mark = 21));
    expect(await publisher.publish(key, message, undefined, 0)).toMatchObject({ seq: 21, duplicate: false });
    expect(gate.doubts).toBe(0);
  });

  it('of a duplicate is one wherever the first one lies', async () => {
    const { publisher } = publisherOf([stored(3, true)], { mark: 20 });
    expect(await publisher.publish(key, message, undefined, 0)).toMatchObject({ seq: 3, duplicate: true });
  });
});

describe('a gate that was not looked through yet', () => {
  it('is waited at, and then passed', async () => {
    const { publisher, gate } = publisherOf([stored(1)], { state: 'unchecked' });
    gate.admit = () => Promise.resolve((gate.state = 'open'));
    expect(await publisher.publish(key, message, undefined, 0)).toMatchObject({ seq: 1 });
  });

  it('and stays shut is a broker that is away', async () => {
    const { publisher, sent } = publisherOf([], { state: 'unchecked' });
    await expect(publisher.publish(key, message, undefined, 0)).rejects.toMatchObject({
      problem: { status: 503, code: 'broker-unavailable', extra: { messageId: 'm1' } },
    });
    expect(sent()).toBe(0);
  });

  it('is asked again before a second try: between the two the broker may have come back as another one', async () => {
    const { publisher, gate, sent, during } = publisherOf([{ kind: 'unknown', why: 'disconnected' }]);
    during(() => (gate.state = 'rewound'));
    await expect(publisher.publish(key, message, undefined, 0)).rejects.toMatchObject(rewound({}));
    expect(sent()).toBe(1);
  });
});
