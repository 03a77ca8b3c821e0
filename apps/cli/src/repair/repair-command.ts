import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import type { InboxEvidence } from './inbox-evidence.client.js';
import type { Mending } from './inbox-repair.client.js';

export interface RepairTerminal {
  print(text: string): void;
  /** A person at the terminal can answer. */
  readonly isInteractive: boolean;
}

/** The broker side of the command; see `open-repair.client`. */
export interface InboxToRepair {
  readonly stream: string;
  gather(): Promise<InboxEvidence>;
  plan(evidence: InboxEvidence): Promise<Mending>;
  mend(mending: Mending, onProgress: (left: number) => void): Promise<number>;
  close(): Promise<void>;
}

/** `lanekeeper repair inbox`: what an operator runs when the inbox was set back. */
export function addRepairCommand(program: Command, open: () => Promise<InboxToRepair>, terminal: RepairTerminal): void {
  const repair = program.command('repair').description('repairs that only a person may start');
  repair
    .command('inbox')
    .description('bring a rewound inbox (a restored backup, a power cut) above everything that was decided')
    .option('--yes', 'do it without asking')
    .action(async ({ yes = false }: { yes?: boolean }) => {
      const inbox = await open();
      try {
        if (!(await repairInbox(inbox, yes, terminal))) process.exitCode = 1;
      } finally {
        await inbox.close();
      }
    });
}

/** Answers whether the inbox is sound now. */
async function repairInbox(inbox: InboxToRepair, yes: boolean, terminal: RepairTerminal): Promise<boolean> {
  const { print } = terminal;
  const evidence = await inbox.gather();
  print(found(inbox.stream, evidence));
  if (!evidence.isRewound) {
    print('nothing to repair');
    return true;
  }
  const mending = await inbox.plan(evidence);
  print(describePlan(inbox.stream, evidence, mending));
  if (!yes && !(terminal.isInteractive && (await confirm()))) {
    print('nothing was changed; lanekeeper repair inbox --yes does it');
    return false;
  }
  const startedAt = performance.now();
  const lastSeq = await inbox.mend(mending, everySecond(print));
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
  print(`repaired in ${seconds} s: ${inbox.stream} goes on at ${lastSeq + 1}; ingress and workers go on by themselves`);
  return true;
}

function found(stream: string, { lastSeq, mark, leases, sessions, unreadable }: InboxEvidence): string {
  const unread = unreadable === 0 ? '' : `, of which ${unreadable} cannot be read by this version`;
  return (
    `${stream} ends at ${lastSeq}; ${leases.size} leases and the records of ${sessions} sessions${unread} ` +
    `speak of nothing above ${mark}`
  );
}

function describePlan(stream: string, { lastSeq, mark }: InboxEvidence, { kind, upTo }: Mending): string {
  const how =
    kind === 'purge'
      ? `nothing in it is needed any more, so it is emptied and set to go on at ${upTo + 1}`
      : `something in it is still needed, so it is filled up to ${upTo} with messages that no worker reads`;
  return [
    `${stream} was set back by at least ${mark - lastSeq}: what it takes up to ${mark} would never be handled.`,
    `repair: ${how}`,
    'what it has lost does not come back: senders that kept a message and its id may send it again',
  ].join('\n');
}

async function confirm(): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(es)?$/i.test((await lines.question('repair it now? [y/N] ')).trim());
  } finally {
    lines.close();
  }
}

const TELL_EVERY_MS = 1_000;

function everySecond(print: (text: string) => void): (left: number) => void {
  let toldAt = performance.now();
  return (left) => {
    if (performance.now() - toldAt < TELL_EVERY_MS) return;
    toldAt = performance.now();
    print(`${left} to go`);
  };
}
