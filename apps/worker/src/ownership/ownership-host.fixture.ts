import type { Clock } from '#contracts';
import type { ModelBroker } from './ownership-broker.fixture.js';

/** For the model of ownership: a process, its clock and its network, all of which may stop at any moment. */

export class NetworkError extends Error {}

export interface ModelWorld {
  readonly clock: Clock;
  readonly broker: ModelBroker;
  nextDelayMs(): number;
  /** How many records a replica is behind. */
  nextLag(): number;
}

/** The border between a worker and everything else. Time and network traffic pass only through it. */
export class ModelHost {
  isDead = false;
  isConnected = true;
  private isFrozen = false;
  private readonly waiting: (() => void)[] = [];
  private readonly onUp = new Set<() => void>();
  onDown = (): void => {};
  onBack = (): void => {};

  constructor(readonly world: ModelWorld) {}

  readonly clock: Clock = {
    now: () => this.world.clock.now(),
    monotonic: () => this.world.clock.monotonic(),
    after: (delayMs, fn) => this.world.clock.after(delayMs, () => this.happen(fn)),
  };

  /** SIGSTOP: the process stands still, and the world continues. */
  freeze(): void {
    this.isFrozen = true;
  }

  thaw(): void {
    this.isFrozen = false;
    for (const fn of this.waiting.splice(0)) this.happen(fn);
  }

  disconnect(): void {
    this.isConnected = false;
    this.happen(() => this.onDown());
  }

  reconnect(): void {
    this.isConnected = true;
    this.happen(() => {
      for (const resume of [...this.onUp]) resume();
      this.onUp.clear();
      this.onBack();
    });
  }

  happen(fn: () => void): void {
    if (this.isDead) return;
    if (this.isFrozen) this.waiting.push(() => fn());
    else fn();
  }

  get isUp(): boolean {
    return this.isConnected && this.world.broker.isUp;
  }

  whenUp(): Promise<void> {
    if (this.isUp) return Promise.resolve();
    return new Promise((resolve) => void this.onUp.add(resolve));
  }

  pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.clock.after(delayMs, resolve));
  }

  /** A request and its answer. Either may be lost, and the sender cannot tell which. */
  call<T>(apply: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const fail = (): void => this.happen(() => reject(new NetworkError('no answer')));
      // A sent request arrives, whatever happens to the sender.
      const isSent = this.isUp;
      this.world.clock.after(this.world.nextDelayMs(), () => {
        if (!isSent || !this.world.broker.isUp) return fail();
        const answer = apply();
        this.world.clock.after(this.world.nextDelayMs(), () =>
          this.isUp ? this.happen(() => resolve(answer)) : fail(),
        );
      });
    });
  }

  /** Hints come late or, without a connection, never. */
  hint(fn: () => void): void {
    if (!this.isUp) return;
    this.world.clock.after(this.world.nextDelayMs(), () => {
      if (this.isUp) this.happen(fn);
    });
  }

  /** Repeats until it is answered. */
  async surely<T>(apply: () => T): Promise<T> {
    for (;;) {
      await this.whenUp();
      try {
        return await this.call(apply);
      } catch {
        await this.pause(100);
      }
    }
  }
}
