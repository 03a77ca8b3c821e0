import { join } from 'node:path';
import { packageRoot } from '#config';
import { spawnOwned, type OwnedProcess } from '#testing';

/** A process of the bench. It tells what happens by lines: a word, and what belongs to it. */
export interface Program extends AsyncDisposable {
  readonly pid: number;
  /** What follows the word on its first line; rejects when the program ends without it. */
  said(word: string): Promise<string>;
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM, and its end; one that fails at it is an error. */
  stop(): Promise<void>;
  kill9(): Promise<void>;
}

export interface ProgramOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Where a profile of its processor time is written; unset = none. */
  readonly profileDir?: string | undefined;
}

const ANSWER_WITHIN_MS = 300_000;

/** Starts a compiled file; `file` is relative to dist, or absolute. */
export async function startProgram(file: string, options: ProgramOptions): Promise<Program> {
  const { args = [], env = {}, cwd, profileDir } = options;
  const root = packageRoot();
  const profiling = profileDir === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profileDir];
  const owned = await spawnOwned({
    command: join(root, 'node_modules/.bin/node'),
    args: [...profiling, file.startsWith('/') ? file : join(root, 'dist', file), ...args],
    env: { ...inherited(), ...env },
    cwd,
  });
  return {
    pid: owned.pid,
    signal: (signal) => owned.signal(signal),
    said: (word) => firstLine(owned, word, file),
    stop: async () => {
      const { code, signal } = await owned.stop();
      if (code !== 0)
        throw new Error(`${file} ended badly (${signal ?? code}); its output:\n${owned.output().slice(-2_000)}`);
    },
    kill9: async () => {
      await owned.killGroup9();
    },
    [Symbol.asyncDispose]: async () => {
      await owned.stop();
    },
  };
}

/** Nothing that could change what is measured. */
function inherited(): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env;
  return { ...(PATH === undefined ? {} : { PATH }), ...(HOME === undefined ? {} : { HOME }) };
}

function firstLine(owned: OwnedProcess, word: string, file: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => fail(`was silent for ${ANSWER_WITHIN_MS} ms`), ANSWER_WITHIN_MS);
    const fail = (how: string): void => {
      clearTimeout(late);
      reject(new Error(`${file} ${how} instead of saying "${word}"; its output:\n${owned.output().slice(-2_000)}`));
    };
    owned.onLine((line) => {
      if (line !== word && !line.startsWith(`${word} `)) return;
      clearTimeout(late);
      resolve(line.slice(word.length + 1));
    });
    void owned.exited.then(({ code, signal }) => fail(`ended (${signal ?? code})`));
  });
}
