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
 * Guards, interceptors and filters apply as on any Nest handler. Nest runs no pipes here: they apply to decorated
 * parameters, and a turn is not one. Every name has exactly one handler.
 */
export function OnTurn(name: string): CustomDecorator<symbol> {
  return SetMetadata(ON_TURN, name);
}
