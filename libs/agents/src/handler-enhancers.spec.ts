import {
  Catch,
  createParamDecorator,
  Injectable,
  Module,
  Scope,
  SetMetadata,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
  type CanActivate,
  type ExceptionFilter,
  type NestInterceptor,
  type PipeTransform,
  type Provider,
  type Type,
} from '@nestjs/common';
import {
  APP_FILTER,
  APP_GUARD,
  APP_INTERCEPTOR,
  APP_PIPE,
  ApplicationConfig,
  DiscoveryModule,
  ExternalContextCreator,
} from '@nestjs/core';
import { Test } from '@nestjs/testing';
import fc from 'fast-check';
import { EMPTY, from, isObservable, of, throwError, type Observable } from 'rxjs';
import { describe, expect, it, vi } from 'vitest';
import type { TurnHandler } from './handler-answer.js';
import { HandlerExplorer } from './handler-explorer.provider.js';
import { OnTurn } from './on-turn.decorator.js';
import { RethrowFilter } from './rethrow.filter.js';

const RETHROW: Provider = { provide: APP_FILTER, useClass: RethrowFilter };

@Injectable()
class No implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

@Injectable()
class Instead implements NestInterceptor {
  intercept(): Observable<string> {
    return of('instead');
  }
}

@Catch()
class Excuse implements ExceptionFilter {
  catch(error: Error): Observable<string> {
    return of(`sorry: ${error.message}`);
  }
}

@Injectable()
class Loud implements PipeTransform {
  transform(): never {
    throw new Error('a pipe ran');
  }
}

interface Explored {
  /** The handler's result. */
  readonly outcome: Promise<unknown>;
  /** Whether Nest wraps the handler. */
  readonly isWrapped: boolean;
}

/** The result of the single handler of these providers, and whether Nest was used. */
async function explore(providers: Provider[], global?: (config: ApplicationConfig) => void): Promise<Explored> {
  const testing = await Test.createTestingModule({
    imports: [DiscoveryModule],
    providers: [HandlerExplorer, ...providers],
  }).compile();
  global?.(testing.get(ApplicationConfig));
  const wrapping = vi.spyOn(testing.get(ExternalContextCreator), 'create');
  const handlers = testing.get(HandlerExplorer).explore();
  expect(handlers.size).toBe(1);
  const [handler] = handlers.values();
  const outcome = outcomeOf(handler as TurnHandler);
  return { outcome, isWrapped: wrapping.mock.calls.length > 0 };
}

async function outcomeOf(handler: TurnHandler): Promise<unknown> {
  try {
    const answered = await handler({} as never);
    // A stream in a stream in a stream is no answer, and no two of them are equal.
    return { answered: isObservable(answered) ? 'a stream' : answered };
  } catch (error) {
    return { threw: error };
  }
}

/** An answer that a stream may carry and drop. */
function rejected(reason: unknown): Promise<never> {
  const promise = Promise.reject(reason as Error);
  promise.catch(() => {});
  return promise;
}

/** A handler that answers or throws, with decorators on its class and its method. */
function agent(onClass: ClassDecorator[], onMethod: MethodDecorator[], answer: () => unknown = () => 'own'): Type {
  class Agent {
    answer(): unknown {
      return answer();
    }
  }
  const property = Object.getOwnPropertyDescriptor(Agent.prototype, 'answer') as PropertyDescriptor;
  for (const decorate of [OnTurn('main'), ...onMethod]) decorate(Agent.prototype, 'answer', property);
  for (const decorate of [Injectable(), ...onClass]) decorate(Agent);
  return Agent;
}

const fails = (): never => {
  throw new Error('no');
};
const FORBIDDEN = { threw: expect.objectContaining({ message: 'Forbidden resource' }) as unknown };

/** Each kind of enhancer: how it is added to a method or class, how to the application, and its effect. */
const KINDS = [
  {
    kind: 'guard',
    decorator: UseGuards(No),
    token: APP_GUARD,
    type: No as Type,
    scoped: (config: ApplicationConfig) => config.getGlobalRequestGuards(),
    use: (config: ApplicationConfig) => config.useGlobalGuards(new No()),
    answer: undefined,
    wanted: FORBIDDEN,
  },
  {
    kind: 'interceptor',
    decorator: UseInterceptors(Instead),
    token: APP_INTERCEPTOR,
    type: Instead as Type,
    scoped: (config: ApplicationConfig) => config.getGlobalRequestInterceptors(),
    use: (config: ApplicationConfig) => config.useGlobalInterceptors(new Instead()),
    answer: undefined,
    wanted: { answered: 'instead' },
  },
  {
    kind: 'filter',
    decorator: UseFilters(Excuse),
    token: APP_FILTER,
    type: Excuse as Type,
    scoped: (config: ApplicationConfig) => config.getGlobalRequestFilters(),
    use: (config: ApplicationConfig) => config.useGlobalFilters(new Excuse()),
    answer: fails,
    wanted: { answered: 'sorry: no' },
  },
  {
    // Nest applies pipes to decorated parameters only, and handlers of turns have none: it creates them and does not
    // call them.
    kind: 'pipe',
    decorator: UsePipes(Loud),
    token: APP_PIPE,
    type: Loud as Type,
    scoped: (config: ApplicationConfig) => config.getGlobalRequestPipes(),
    use: (config: ApplicationConfig) => config.useGlobalPipes(new Loud()),
    answer: undefined,
    wanted: { answered: 'own' },
  },
] as const;

describe.each(KINDS)('each $kind is called by Nest', ({ decorator, token, type, use, scoped, answer, wanted }) => {
  const none = agent([], [], answer);

  async function expectRun(providers: Provider[], global?: (config: ApplicationConfig) => void): Promise<void> {
    const { outcome, isWrapped } = await explore([RETHROW, ...providers], global);
    expect(isWrapped).toBe(true);
    expect(await outcome).toEqual(wanted);
  }

  it('on the method', () => expectRun([agent([], [decorator as MethodDecorator], answer)]));

  it('on the class', () => expectRun([agent([decorator as ClassDecorator], [], answer)]));

  it('on the class that it extends', async () => {
    class Child extends agent([decorator as ClassDecorator], [], answer) {}
    await expectRun([Child]);
  });

  it('on a class that another decorator replaced', async () => {
    const proxy = new Proxy(none, {});
    (decorator as ClassDecorator)(proxy);
    await expectRun([proxy]);
  });

  it('on the class behind a token', () =>
    expectRun([{ provide: 'main', useClass: agent([decorator as ClassDecorator], [], answer) }]));

  it('on the class of an instance that the module got', async () => {
    const Agent = agent([decorator as ClassDecorator], [], answer);
    const { isWrapped } = await explore([RETHROW, { provide: 'main', useValue: new Agent() as unknown }]);
    expect(isWrapped).toBe(true);
  });

  it('as a provider for the whole application', () => expectRun([none, { provide: token, useClass: type }]));

  it('given to the application', () => expectRun([none], use));

  it('made for each request: Nest finds it', async () => {
    let count = 0;
    const provider = { provide: token, useClass: type, scope: Scope.REQUEST };
    const { isWrapped } = await explore([RETHROW, none, provider], (config) => {
      count = scoped(config).length;
    });
    expect(count).toBe(1);
    expect(isWrapped).toBe(true);
  });
});

describe('a handler', () => {
  it('without enhancers is called without Nest', async () => {
    const { outcome, isWrapped } = await explore([RETHROW, agent([], [])]);
    expect(isWrapped).toBe(false);
    expect(await outcome).toEqual({ answered: 'own' });
  });

  it('is called without Nest though another method has a guard', async () => {
    const Agent = agent([], []);
    const other = { value: () => 'x' };
    (UseGuards(No) as MethodDecorator)(Agent.prototype, 'other', other);
    Object.defineProperty(Agent.prototype, 'other', other);
    expect((await explore([RETHROW, Agent])).isWrapped).toBe(false);
  });

  it('with a custom parameter decorator goes through Nest', async () => {
    const Agent = agent([], []);
    createParamDecorator(() => 'x')()(Agent.prototype, 'answer', 0);
    expect((await explore([RETHROW, Agent])).isWrapped).toBe(true);
  });

  it("goes through Nest where only Nest's default filter runs, which logs the error", async () => {
    expect((await explore([agent([], [])])).isWrapped).toBe(true);
  });

  it('goes through Nest where a filter of the user extends ours', async () => {
    @Catch()
    class Own extends RethrowFilter {}
    expect((await explore([{ provide: APP_FILTER, useClass: Own }, agent([], [])])).isWrapped).toBe(true);
  });

  it('has no enhancers in a module without any; metadata of the user does not count', async () => {
    @Module({ providers: [agent([], [SetMetadata('roles', ['x'])])] })
    class Agents {}
    const testing = await Test.createTestingModule({
      imports: [DiscoveryModule, Agents],
      providers: [HandlerExplorer, RETHROW],
    }).compile();
    const wrapping = vi.spyOn(testing.get(ExternalContextCreator), 'create');
    expect(testing.get(HandlerExplorer).explore().size).toBe(1);
    expect(wrapping).not.toHaveBeenCalled();
  });

  it.each([Scope.REQUEST, Scope.TRANSIENT])(
    'of a provider of scope %i is called on the same instance both ways',
    async (scope) => {
      class Agent {
        made = true;
        answer(): unknown {
          return this.made;
        }
      }
      const property = Object.getOwnPropertyDescriptor(Agent.prototype, 'answer') as PropertyDescriptor;
      OnTurn('main')(Agent.prototype, 'answer', property);
      Injectable({ scope })(Agent);
      const plain = await explore([RETHROW, Agent]);
      UsePipes()(Agent);
      const wrapped = await explore([RETHROW, Agent]);
      expect([plain.isWrapped, wrapped.isWrapped]).toEqual([false, true]);
      expect(await plain.outcome).toEqual(await wrapped.outcome);
    },
  );

  it('has the same result with and without Nest, for each answer and each error', async () => {
    let answer: () => unknown = () => undefined;
    const handlers: TurnHandler[] = [];
    for (const around of [[], [UsePipes()]]) {
      const testing = await Test.createTestingModule({
        imports: [DiscoveryModule],
        providers: [HandlerExplorer, RETHROW, agent([], around, () => answer())],
      }).compile();
      const wrapping = vi.spyOn(testing.get(ExternalContextCreator), 'create');
      handlers.push(testing.get(HandlerExplorer).explore().get('main') as TurnHandler);
      expect(wrapping).toHaveBeenCalledTimes(around.length);
    }
    const [plain, wrapped] = handlers as [TurnHandler, TurnHandler];
    const value = fc.oneof(
      fc.constantFrom<unknown>(undefined, null, 0, '', 'text', Symbol('s'), new TypeError('x'), Object.create(null)),
      fc.anything(),
    );
    const come = (inner: fc.Arbitrary<() => unknown>): fc.Arbitrary<() => unknown> =>
      fc.oneof(
        inner.map((make) => () => Promise.resolve(make())),
        inner.map((make) => () => of(make())),
        inner.map((make) => () => from([1, make()])),
        // oxlint-disable-next-line unicorn/no-thenable -- what a handler may answer with
        inner.map((make) => () => ({ then: (done: (value: unknown) => void) => done(make()) })),
      );
    const leaf = fc.oneof(
      value.map((it) => () => it),
      value.map((it) => () => {
        throw it;
      }),
      value.map((it) => () => rejected(it)),
      value.map((it) => () => throwError(() => it)),
      fc.constant(() => EMPTY),
    );
    const { behaviour } = fc.letrec<{ behaviour: () => unknown }>((tie) => ({
      behaviour: fc.oneof({ depthSize: 'small', withCrossShrink: true }, leaf, come(tie('behaviour'))),
    }));
    await fc.assert(
      fc.asyncProperty(behaviour, async (make) => {
        answer = make;
        expect(await outcomeOf(plain)).toStrictEqual(await outcomeOf(wrapped));
      }),
      { numRuns: 2_000 },
    );
  });
});
