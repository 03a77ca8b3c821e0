import type { SessionTask, TaskView } from '#contracts';
import { isOpenTask, type TaskDirectory, type TaskLookup } from '#guards';

/** Tasks shown of one session, the longest unchanged first. */
const MAX_TASKS = 1_000;

/** The tasks of a session now: those of its own scope that run or wait for an approval, and shared ones that its runs hold. */
export class SessionTasks {
  constructor(
    private readonly directory: Pick<TaskDirectory, 'list'>,
    private readonly lookup: Pick<TaskLookup, 'get'>,
  ) {}

  /** `held`: keys that its worker says its runs hold. */
  async of(scope: string, held: readonly string[] = []): Promise<SessionTask[]> {
    const { tasks } = await this.directory.list({ scope, isOpen: true, limit: MAX_TASKS, after: 0 }, Date.now());
    const own = new Set(tasks.map(({ key }) => key));
    const others = [...new Set(held)].filter((key) => !own.has(key));
    const shared = await Promise.all(others.map((key) => this.lookup.get(key)));
    // A shared task that a run held may have succeeded since.
    return [...tasks, ...shared.flatMap((task) => task ?? []).filter(isOpenTask)].map(shown);
  }
}

function shown({ key, state, runId, owner, startedAt, expiresAt, endedAt, status, error }: TaskView): SessionTask {
  const all = { key, state, runId, owner, startedAt, expiresAt, endedAt, status, error };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as unknown as SessionTask;
}
