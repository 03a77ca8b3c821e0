import type { SessionTask, TaskView } from '#contracts';
import { isOpenTask, type TaskDirectory, type TaskLookup } from '#guards';

/** Shown of one session, those first that stand there for longest. */
const MAX_TASKS = 1_000;

/** The tasks that a session has to do with now: those of its own scope that run or wait for somebody, and shared ones that it runs. */
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
    // One that a run held may have ended well since.
    return [...tasks, ...shared.flatMap((task) => task ?? []).filter(isOpenTask)].map(shown);
  }
}

function shown({ key, state, runId, owner, startedAt, expiresAt, endedAt, status, error }: TaskView): SessionTask {
  const all = { key, state, runId, owner, startedAt, expiresAt, endedAt, status, error };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as unknown as SessionTask;
}
