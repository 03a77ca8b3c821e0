import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { track } from './leak-check.js';

export interface FaultProxy extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** From now on, drops bytes from the broker: it stores and acknowledges, and the client gets nothing. */
  dropFromServer(): void;
  /** From now on, drops bytes from the client: it sends, and the broker gets nothing. */
  dropFromClient(): void;
  /** From now on, delays bytes from the broker, until the proxy is closed. */
  slowDown(byMs: number): void;
  /** Passes everything again. Cuts connections that lost bytes: a stream with gaps breaks the protocol. */
  heal(): void;
  /** Cuts every connection. New ones are accepted. */
  cutAll(): void;
  close(): Promise<void>;
}

/**
 * A TCP proxy in front of a broker on 127.0.0.1, for faults that a kill cannot make, above all a lost acknowledgement.
 */
export async function startFaultProxy(targetPort: number): Promise<FaultProxy> {
  const dropping = { server: false, client: false };
  let lateMs = 0;
  const links = new Set<Link>();
  const server = createServer((client) => {
    const link: Link = { client, server: connect(targetPort, '127.0.0.1'), lostBytes: false };
    links.add(link);
    forward(link, link.client, link.server, () => ({ isDropping: dropping.client, lateMs: 0 }));
    forward(link, link.server, link.client, () => ({ isDropping: dropping.server, lateMs }));
    // Bytes that one side wrote before it closed still reach the other.
    client.on('close', () => link.server.destroySoon());
    link.server.on('close', () => {
      links.delete(link);
      client.destroySoon();
    });
    // `close` follows an error. Without a listener the error would end the test runner.
    for (const socket of [client, link.server]) socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  const cutAll = () => [...links].forEach(cut);
  const close = async () => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    cutAll();
    await closed;
    untrack();
  };
  const untrack = track(`fault proxy on port ${port}`, close);
  return {
    port,
    url: `nats://127.0.0.1:${port}`,
    dropFromServer: () => void (dropping.server = true),
    dropFromClient: () => void (dropping.client = true),
    slowDown: (byMs) => void (lateMs = byMs),
    heal() {
      dropping.server = dropping.client = false;
      [...links].filter((link) => link.lostBytes).forEach(cut);
    },
    cutAll,
    close,
    [Symbol.asyncDispose]: close,
  };
}

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  lostBytes: boolean;
}

function cut(link: Link): void {
  link.client.destroy();
  link.server.destroy();
}

function forward(link: Link, from: Socket, to: Socket, fault: () => { isDropping: boolean; lateMs: number }): void {
  from.setNoDelay(true);
  from.on('data', (bytes) => {
    const { isDropping, lateMs } = fault();
    if (isDropping) link.lostBytes = true;
    else if (lateMs > 0) setTimeout(() => to.destroyed || to.write(bytes), lateMs);
    // A slow receiver slows down the sender, as it would without the proxy.
    else if (!to.write(bytes)) from.pause();
  });
  to.on('drain', () => from.resume());
}
