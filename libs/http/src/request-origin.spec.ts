import { describe, expect, it } from 'vitest';
import { originProblem } from './request-origin.js';

describe('without tokens only programs of this machine may call', () => {
  it.each([
    ['127.0.0.1:7070', undefined],
    ['127.8.9.1', undefined],
    ['localhost:7070', undefined],
    ['LOCALHOST', undefined],
    ['[::1]:7070', undefined],
    ['127.0.0.1:7070', 'http://127.0.0.1:7070'],
  ])('Host %s with Origin %s may', (host, origin) => {
    expect(originProblem(host, origin)).toBeUndefined();
  });

  it.each([
    ['evil.example', undefined, /Host/],
    ['127.0.0.1.evil.example', undefined, /Host/],
    ['localhost.evil.example:7070', undefined, /Host/],
    ['10.0.0.1', undefined, /Host/],
    ['[::2]', undefined, /Host/],
    ['', undefined, /Host/],
    [undefined, undefined, /Host/],
    ['127.0.0.1:7070', 'http://evil.example', /Origin/],
    ['127.0.0.1:7070', 'http://127.0.0.1:3000', /Origin/],
    ['127.0.0.1:7070', 'https://127.0.0.1:7070', /Origin/],
    ['127.0.0.1:7070', 'null', /Origin/],
  ])('Host %s with Origin %s may not', (host, origin, names) => {
    expect(originProblem(host, origin)).toMatch(names);
  });
});
