import type { Lane } from '../lane/lane.js';
import type { TaskItem } from '../lane/message-tasks.js';
import type { TurnRunner } from '../ports.js';

/**
 * So many questions are under way at once. A look only spares a message its wait, and the start of its turn asks again: of a
 * backlog that is read after an outage, the rest waits for its turn rather than all asking at once.
 */
const MAX_LOOKS = 256;

/** Asks whether messages whose turn is not next could get their tasks. No lane waits for an answer. */
export class TaskLooks {
  private underWay = 0;

  constructor(
    private readonly turns: Pick<TurnRunner, 'tasks'>,
    private readonly drive: (lane: Lane) => void,
  ) {}

  /** Asks about what came and has not begun. While a former owner may still run the session, it is not known what has. */
  ask(lane: Lane): void {
    const { tasks } = lane;
    if (tasks === undefined || !lane.isOpen || lane.handoff !== undefined) return;
    const items = tasks.takeUnasked();
    const asked = items.slice(0, MAX_LOOKS - this.underWay);
    for (const item of asked) void this.look(lane, item);
    if (asked.length === items.length) return;
    for (const item of items.slice(asked.length)) tasks.answer(item, undefined);
    this.drive(lane);
  }

  private async look(lane: Lane, item: TaskItem): Promise<void> {
    this.underWay++;
    // By its contract it never rejects; one that does must not leave the message uncounted for ever.
    const refusal = await this.turns.tasks?.lookAtTask?.(lane.key, item.task).catch(() => undefined);
    this.underWay--;
    // Given away or forgotten: the owner of the session asks for itself.
    if (lane.home.state !== 'open' || lane.isStopped) return;
    lane.tasks?.answer(item, refusal);
    this.drive(lane);
  }
}
