import { ServerNats, type NatsOptions } from '@nestjs/microservices';
import { writeJson, type Names } from '#contracts';
import type { BrokerConnection } from '#jetstream';
import { readCallBody } from './call-body.js';

/** Replicas share this queue: each request goes to one of them. */
const QUEUE = 'guard';

type Deserializer = NonNullable<NonNullable<NatsOptions['options']>['deserializer']>;
type Serializer = NonNullable<NonNullable<NatsOptions['options']>['serializer']>;

/**
 * Nest's NATS transport on the existing connection of the service, with subjects of this installation, and with plain
 * JSON both ways: what programs in any language send, without Nest's envelope.
 */
export class GuardServer extends ServerNats {
  constructor(
    private readonly connection: Pick<BrokerConnection, 'nc'>,
    private readonly names: Names,
  ) {
    super({ queue: QUEUE, deserializer: plainRequests, serializer: plainReplies });
  }

  override addHandler(...[pattern, ...rest]: Parameters<ServerNats['addHandler']>): void {
    super.addHandler(this.names.guardSubject(String(pattern)), ...rest);
  }

  override async createNatsClient(): ReturnType<ServerNats['createNatsClient']> {
    return shared(this.connection.nc) as Awaited<ReturnType<ServerNats['createNatsClient']>>;
  }
}

type Connection = BrokerConnection['nc'];

/**
 * One connection for everything: its state says whether requests arrive and whether they can be answered. Its opener closes
 * it when all requests are answered; Nest's close only unsubscribes.
 */
function shared(connection: Connection): Pick<Connection, 'subscribe' | 'status' | 'close'> {
  const subscriptions: ReturnType<Connection['subscribe']>[] = [];
  return {
    subscribe: (...call) => {
      const subscription = connection.subscribe(...call);
      subscriptions.push(subscription);
      return subscription;
    },
    status: () => connection.status(),
    close: async () => {
      for (const subscription of subscriptions) subscription.unsubscribe();
    },
  };
}

const plainRequests: Deserializer = {
  deserialize: (message: { readonly reply?: string; readonly data: Uint8Array }) => {
    const call = { pattern: '', data: readCallBody(message.data) };
    // With an id it is a request, and is answered; a message without a reply subject gets no answer.
    return message.reply === undefined ? call : { ...call, id: message.reply };
  },
};

const plainReplies: Serializer = {
  serialize: ({ response, err }: { readonly response?: unknown; readonly err?: unknown }) => ({
    data: writeJson(response ?? { ok: false, code: 'unavailable', message: String(err ?? 'no answer') }),
  }),
};
