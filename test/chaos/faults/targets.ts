import { readdir, readFile, readlink } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Brokers } from '../brokers.js';
import type { PlannedFault } from '../plan.js';
import type { Crew, Life, Seat } from '../seats.js';

/** What there is to break. */
export interface Targets {
  readonly crew: Crew;
  readonly brokers: Brokers;
}

/** Does a fault and heals it. What it answers is said: how hard it hit. */
export type Doing = (targets: Targets, fault: PlannedFault) => Promise<string | void>;

export function seatOf(seats: readonly Seat[], { target }: Pick<PlannedFault, 'target'>): Seat {
  const seat = seats[target];
  if (seat === undefined) throw new Error(`there is no seat ${target}`);
  return seat;
}

export function lifeOf({ current, role, target }: Seat): Life {
  if (current === undefined) throw new Error(`no process sits at ${role} ${target}`);
  return current;
}

export function nodeOf({ nodes }: Brokers, target: number): Brokers['nodes'][number] {
  const node = nodes[target];
  if (node === undefined) throw new Error(`there is no broker ${target}`);
  return node;
}

const LOOK_MS = 100;

/**
 * Lets the time go by while nodes are out of reach, and notes which workers are their clients meanwhile: only those are cut
 * off, however long the others wait for an election. With one node everybody is, and that is an outage, not a cut.
 */
export async function whileCutOff({ crew, brokers }: Targets, nodes: readonly number[], ms: number): Promise<void> {
  if (brokers.nodes.length === 1) return void (await delay(ms));
  const from = Date.now();
  const spans = new Map<Life, { from: number; to: number }>();
  for (let passed = 0; passed < ms; passed = Date.now() - from) {
    for (const life of crew.workers.flatMap(({ current }) => current ?? [])) {
      const node = await nodeOfLife(life, brokers);
      const span = spans.get(life);
      if (node !== undefined && nodes.includes(node)) {
        if (span === undefined) spans.set(life, beginCut(life));
      } else if (span !== undefined) {
        span.to = Date.now();
        spans.delete(life);
      }
    }
    await delay(Math.min(LOOK_MS, Math.max(0, ms - passed)));
  }
  for (const span of spans.values()) endCut(span);
}

export function beginCut(life: Life): { from: number; to: number } {
  const span = { from: Date.now(), to: Number.POSITIVE_INFINITY };
  life.cutOff.push(span);
  return span;
}

/** What was sent into a cut is sent again when it is mended, after a wait as long as the cut at most: TCP doubles it. */
export function endCut(span: { from: number; to: number }): void {
  const now = Date.now();
  span.to = now + (now - span.from);
}

/** The node to which a process is connected now, by its sockets: each side of the two knows more addresses than it uses. */
export async function nodeOfLife({ service, endedAt }: Life, { nodes }: Brokers): Promise<number | undefined> {
  if (endedAt !== undefined) return undefined;
  const own = await socketsOf(service.pid);
  // Of the whole network in which the process is.
  const table = await readFile(`/proc/${service.pid}/net/tcp`, 'utf8').catch(() => '');
  const places = nodes.map(({ url }) => placeOf(new URL(url)));
  for (const line of table.split('\n')) {
    const [, , remote = '', state, , , , , , inode = ''] = line.trim().split(/\s+/);
    const node = places.indexOf(remote);
    if (state === ESTABLISHED && node >= 0 && own.has(inode)) return node;
  }
  return undefined;
}

const ESTABLISHED = '01';

async function socketsOf(pid: number): Promise<Set<string>> {
  const folder = `/proc/${pid}/fd`;
  const files = await readdir(folder).catch(() => []);
  const links = await Promise.all(files.map((file) => readlink(`${folder}/${file}`).catch(() => '')));
  return new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []));
}

/** An address as the kernel writes it there: its bytes from the last to the first, and the port. */
function placeOf({ hostname, port }: URL): string {
  const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');
  const bytes = hostname.split('.').map((byte) => hex(Number(byte), 2));
  return `${bytes.toReversed().join('')}:${hex(Number(port), 4)}`;
}
