import { describe, expect, it } from 'vitest';
import { UnclearRequests } from './unclear-requests.js';

describe('a request without an answer', () => {
  it('is repeated with the same id until it is answered, per run and key', () => {
    let made = 0;
    const requests = new UnclearRequests(() => `id-${++made}`);
    expect(requests.ask('r', 'a')).toEqual({ requestId: 'id-1', isRepeated: false });
    expect(requests.ask('r', 'b')).toEqual({ requestId: 'id-2', isRepeated: false });
    expect(requests.ask('s', 'a')).toEqual({ requestId: 'id-3', isRepeated: false });
    requests.answered('r', 'b');
    expect(requests.ask('r', 'a')).toEqual({ requestId: 'id-1', isRepeated: true });
    expect(requests.ask('r', 'b')).toEqual({ requestId: 'id-4', isRepeated: false });
  });

  it('may have been granted, until the run is forgotten', () => {
    const requests = new UnclearRequests(() => 'id');
    for (const key of ['a', 'b', 'c']) requests.ask('r', key);
    requests.answered('r', 'b');
    requests.answered('nobody', 'b');
    requests.ask('r', 'c', { failures: 2 });
    requests.ask('r', 'c');
    expect([requests.failuresOf('r', 'c'), requests.failuresOf('r', 'a'), requests.failuresOf('s', 'a')]).toEqual([
      2, 0, 0,
    ]);
    expect(requests.forget('r')).toEqual([
      { key: 'a', isNext: false },
      { key: 'c', isNext: true },
    ]);
    expect(requests.forget('r')).toEqual([]);
  });
});
