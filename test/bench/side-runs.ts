import type { TurnCost } from './process-figures.js';
import type { Figures } from './targets.js';

/** What one run of one system says. */
export interface Measured {
  readonly perSecond: number;
  readonly cost: TurnCost;
}

export interface Side {
  /** One that fails is a reason in the table, and never the end of the bench. */
  readonly isPeer?: boolean;
  run(): Promise<Measured>;
}

export interface SideFigures {
  readonly figures: Figures;
  readonly costs: readonly TurnCost[];
}

/**
 * Every side once in each run, one after another; every second run begins with the last one, so that none always has the
 * warmer machine, or the slower hour.
 */
export async function runSides<Name extends string>(
  sides: Readonly<Record<Name, Side>>,
  runs: number,
  say: (line: string) => void,
): Promise<Readonly<Record<Name, SideFigures>>> {
  const names = Object.keys(sides) as Name[];
  const results = Object.fromEntries(names.map((name) => [name, { figures: [], costs: [] }])) as unknown as Record<
    Name,
    SideFigures
  >;
  for (let run = 0; run < runs; run++) {
    for (const name of run % 2 === 0 ? names : names.toReversed()) {
      const { figures, costs } = results[name];
      if ('notMeasured' in figures) continue;
      try {
        const { perSecond, cost } = await sides[name].run();
        say(`run ${run + 1} of ${runs}, ${name}: ${Math.round(perSecond)} a second, ${describeCost(cost)}`);
        results[name] = { figures: [...figures, perSecond], costs: [...costs, cost] };
      } catch (error) {
        if (sides[name].isPeer !== true) throw error;
        say(`${name} was not measured: ${(error as Error).message}`);
        const [notMeasured = 'unknown'] = (error as Error).message.split('\n');
        results[name] = { figures: { notMeasured }, costs: [] };
      }
    }
  }
  return results;
}

export function describeCost({ workerUs, brokerUs }: TurnCost): string {
  return `${Math.round(workerUs)} + ${Math.round(brokerUs)} µs`;
}
