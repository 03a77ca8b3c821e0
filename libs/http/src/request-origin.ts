import { isIP } from 'node:net';

/**
 * Who may call while there are no tokens: programs of this machine, and no web page.
 *
 * A page in a browser of this machine reaches loopback too. Its requests carry an `Origin` (a POST without a body needs no
 * preflight), and one that was rebound by DNS carries its own name as `Host`; a program of this machine does neither.
 */
export function originProblem(host: string | undefined, origin: string | undefined): string | undefined {
  const name = host === undefined ? '' : hostName(host);
  if (!isLoopbackName(name)) {
    return 'Host: found a name that is not of this machine, wanted localhost or a loopback address; a proxy in front has to send one';
  }
  if (origin !== undefined && origin !== `http://${host}`) {
    return 'Origin: found another web page, wanted none; web pages may not call this API while it has no tokens';
  }
  return undefined;
}

/** `127.0.0.1:7070`, `[::1]:7070`, `localhost` without their port. */
function hostName(host: string): string {
  if (host.startsWith('[')) return host.slice(1, host.indexOf(']'));
  const colon = host.indexOf(':');
  return colon === -1 ? host : host.slice(0, colon);
}

function isLoopbackName(name: string): boolean {
  // Nearly all requests have one of these; the others need a regular expression.
  if (name === '127.0.0.1' || name === 'localhost') return true;
  if (isIP(name) === 4) return name.startsWith('127.');
  return name === '::1' || name.toLowerCase() === 'localhost';
}
