import {
  Catch,
  Injectable,
  Module,
  UseFilters,
  UseGuards,
  UseInterceptors,
  type CallHandler,
  type CanActivate,
  type ExceptionFilter,
  type ExecutionContext,
  type NestInterceptor,
  type Provider,
} from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { map, of, type Observable } from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { TurnHandler } from './handler-answer.js';
import { HandlerExplorer } from './handler-explorer.provider.js';
import { OnTurn } from './on-turn.decorator.js';

type FakeTurn = { text: string };

@Injectable()
class Shout implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler<string>): Observable<string> {
    const { text } = context.switchToRpc().getData<FakeTurn>();
    return next.handle().pipe(map((answer) => `${answer.toUpperCase()} (${context.getType()}, ${text})`));
  }
}

@Injectable()
class Closed implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    return context.switchToRpc().getData<FakeTurn>().text !== 'forbidden';
  }
}

@Catch()
class Excuse implements ExceptionFilter {
  catch(error: Error): Observable<string> {
    return of(`sorry: ${error.message}`);
  }
}

@Injectable()
class Library {
  title(): string {
    return 'a book';
  }
}

@Injectable()
class Agents {
  constructor(private readonly library: Library) {}

  @OnTurn('plain')
  plain(turn: FakeTurn): string {
    return `${turn.text}: ${this.library.title()}`;
  }

  @OnTurn('loud')
  @UseInterceptors(Shout)
  loud(): string {
    return 'hello';
  }

  @OnTurn('guarded')
  @UseGuards(Closed)
  guarded(): string {
    return 'come in';
  }

  @OnTurn('excused')
  @UseFilters(Excuse)
  async excused(): Promise<string> {
    throw new Error('no');
  }

  @OnTurn('throwing')
  async throwing(): Promise<string> {
    throw new TypeError('as it is');
  }

  notATurn(): string {
    return 'x';
  }
}
Reflect.defineMetadata('design:paramtypes', [Library], Agents);

@Module({ providers: [Agents, Library], exports: [Agents] })
class AgentsModule {}

async function explore(providers: Provider[], imports: unknown[] = []): Promise<Map<string, TurnHandler>> {
  const testing = await Test.createTestingModule({
    imports: [DiscoveryModule, ...(imports as [])],
    providers: [HandlerExplorer, ...providers],
  }).compile();
  return testing.get(HandlerExplorer).explore();
}

const call = async (handlers: Map<string, TurnHandler>, name: string, text = 'x') =>
  handlers.get(name)?.({ text } as never);

describe('HandlerExplorer', () => {
  it('finds the handlers of all modules, with their dependencies', async () => {
    const handlers = await explore([], [AgentsModule]);
    expect([...handlers.keys()].toSorted()).toEqual(['excused', 'guarded', 'loud', 'plain', 'throwing']);
    expect(await call(handlers, 'plain', 'read')).toBe('read: a book');
  });

  it('applies interceptors, guards and filters to them', async () => {
    const handlers = await explore([Agents, Library]);
    expect(await call(handlers, 'loud', 't')).toBe('HELLO (rpc, t)');
    expect(await call(handlers, 'guarded')).toBe('come in');
    await expect(call(handlers, 'guarded', 'forbidden')).rejects.toThrow('Forbidden');
    expect(await call(handlers, 'excused')).toBe('sorry: no');
    await expect(call(handlers, 'throwing')).rejects.toThrow(TypeError);
  });

  it('finds none among providers that are no classes', async () => {
    const values = [null, 5, 'x', Object.create(null), { plain: () => 'x' }];
    const providers = values.map((useValue, i) => ({ provide: `value ${i}`, useValue: useValue as unknown }));
    expect((await explore(providers)).size).toBe(0);
  });

  it('refuses two handlers for one name, and names both', async () => {
    class First {
      @OnTurn('main')
      one(): void {}
    }
    class Second {
      @OnTurn('main')
      two(): void {}
    }
    await expect(explore([First, Second])).rejects.toThrow(
      expect.objectContaining({
        code: 'two_handlers',
        message: expect.stringMatching(/'main'.*First\.one.*Second\.two/),
      }),
    );
  });

  it('refuses them also when both classes have one name', async () => {
    const make = () => {
      class Same {
        @OnTurn('main')
        answer(): void {}
      }
      return Same;
    };
    await expect(explore([make(), make()])).rejects.toThrow('Same.answer and Same.answer');
  });

  it('one class provided in two modules is one handler', async () => {
    const handlers = await explore([Agents, Library], [AgentsModule]);
    expect(await call(handlers, 'plain', 'read')).toBe('read: a book');
  });
});
