import { SetMetadata, type CustomDecorator } from '@nestjs/common';

export const ON_TURN = Symbol('lanekeeper:on-turn');

/**
 * Marks a method of a Nest provider as the handler of an agent's turns:
 *
 *     @Injectable()
 *     class Researcher {
 *       @OnTurn('research')
 *       async answer(turn: Turn) { return `you said ${turn.message.text}`; }
 *     }
 *
 * Guards, interceptors and filters apply as on any handler. Nest does not run pipes here: they belong to parameters with
 * decorators, and a turn is none. Every name has exactly one handler.
 */
export function OnTurn(name: string): CustomDecorator<symbol> {
  return SetMetadata(ON_TURN, name);
}
