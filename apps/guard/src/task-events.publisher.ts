import type { Names } from '#contracts';
import type { TaskEvent } from '#guards';
import type { BrokerConnection } from '#jetstream';
import type { Logger } from '#telemetry';

/** Events that an operator wants to see without asking. */
const NOTEWORTHY: ReadonlySet<TaskEvent['type']> = new Set([
  'task-stale',
  'task-healed',
  'task-approved',
  'task-approval_expired',
  'task-ended',
]);

/** Publishes events of tasks for readers, without waiting: the entries are the truth. */
export class TaskEvents {
  constructor(
    private readonly connection: Pick<BrokerConnection, 'nc' | 'isUp'>,
    private readonly names: Names,
    private readonly log: Logger,
  ) {}

  tell(event: TaskEvent): void {
    const { type, key, runId, status, by } = event;
    this.log[NOTEWORTHY.has(type) ? 'info' : 'debug']({ key, runId, status, by }, type);
    if (this.connection.isUp) this.connection.nc.publish(this.names.taskEventsSubject(key), JSON.stringify(event));
  }
}
