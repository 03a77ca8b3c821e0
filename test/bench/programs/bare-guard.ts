import { HEADER } from '#contracts';
import { BrokerConnection, PublishChannel } from '#jetstream';
import { silentLogger as log } from '#telemetry';
import { BARE_SUBJECT, bareKeySubject } from '../guard-load.js';

/**
 * The least that could be called a guard: a request, one compare-and-set write of a key that must not be there, an answer.
 * Nothing is read, checked or told. Started with `{natsUrl, entryBytes}`.
 */
const { natsUrl, entryBytes } = JSON.parse(process.argv[2] ?? '{}') as { natsUrl: string; entryBytes: number };
process.once('SIGTERM', () => process.exit());

const connection = await BrokerConnection.open({ url: natsUrl, name: 'bare guard', log });
const channel = new PublishChannel(connection);
const entry = 'x'.repeat(entryBytes);

connection.nc.subscribe(BARE_SUBJECT, {
  queue: 'bare',
  callback: (_error, message) => {
    const { key } = message.json<{ key: string }>();
    const expected = { [HEADER.expectedLastSubjectSequence]: '0' };
    void channel
      .publish(bareKeySubject(key), entry, expected)
      .then(({ kind }) => message.respond(`{"kind":"${kind}"}`));
  },
});
await connection.nc.flush();
process.stdout.write('ready\n');
