import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { floorOf, highestMark, type OpenSession } from './lease.js';
import { checkSource, describeRewound } from './source-check.js';

const lease = (read: number, ...from: number[]) => ({
  read,
  open: from.map((sequence): OpenSession => ({ session: `s${sequence}`, from: sequence })),
});

describe('a source', () => {
  it('is sound when it has everything that any lease mentions', () => {
    expect(checkSource(20, [lease(20), lease(7)])).toEqual({ isRewound: false, lastSeq: 20, mark: 20 });
    expect(checkSource(21, [lease(20)])).toMatchObject({ isRewound: false });
  });

  it('without any lease, or with leases of an installation that had no message yet, is sound', () => {
    expect(checkSource(0, [])).toEqual({ isRewound: false, lastSeq: 0, mark: 0 });
    expect(checkSource(0, [lease(0), lease(0)])).toMatchObject({ isRewound: false });
  });

  it('is rewound when it ends before the mark of any lease', () => {
    expect(checkSource(19, [lease(3), lease(20)])).toEqual({ isRewound: true, lastSeq: 19, mark: 20 });
    expect(checkSource(0, [lease(1)])).toMatchObject({ isRewound: true });
  });

  it('is rewound when it ends before an undecided message that a lease names', () => {
    expect(checkSource(10, [lease(10, 4, 12)])).toEqual({ isRewound: true, lastSeq: 10, mark: 12 });
  });

  it('is rewound when it ends before a sequence that other evidence calls decided', () => {
    expect(checkSource(10, [lease(4)], 11)).toEqual({ isRewound: true, lastSeq: 10, mark: 11 });
    expect(checkSource(10, [lease(4)], 10)).toMatchObject({ isRewound: false });
  });

  it('gives a sequence above every mark to the next message exactly when it is sound', () => {
    const anyLease = fc.record({
      read: fc.nat(50),
      open: fc.array(fc.record({ session: fc.string(), from: fc.nat(50) })),
    });
    fc.assert(
      fc.property(fc.nat(60), fc.array(anyLease), (lastSeq, leases) => {
        const isAbove = leases.every((one) => lastSeq + 1 > highestMark(one) && lastSeq + 1 > floorOf(one));
        expect(checkSource(lastSeq, leases).isRewound).toBe(!isAbove);
      }),
    );
  });

  it('that is rewound is described with what was found and wanted', () => {
    const text = describeRewound('LK_INBOX', { isRewound: true, lastSeq: 12, mark: 950 });
    expect(text).toMatch(/^LK_INBOX: found last sequence 12, wanted at least 950/);
  });
});
