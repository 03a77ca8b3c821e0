import { describe, expect, it } from 'vitest';
import { isNatsUrl, natsConnectOptions, redactUrl } from './nats-url.js';

describe('nats-url', () => {
  it.each([
    ['nats://127.0.0.1:4222', { servers: '127.0.0.1:4222' }],
    ['nats://broker', { servers: 'broker' }],
    ['nats://broker:4222/', { servers: 'broker:4222' }],
    ['nats://[::1]:4222', { servers: '[::1]:4222' }],
    ['tls://broker:4222', { servers: 'broker:4222', tls: {} }],
    ['nats://me:1234@broker:4222', { servers: 'broker:4222', user: 'me', pass: '1234' }],
    ['nats://me:p%40ss@broker', { servers: 'broker', user: 'me', pass: 'p@ss' }],
    ['nats://s3cret@broker', { servers: 'broker', token: 's3cret' }],
  ])('splits %s', (url, options) => expect(natsConnectOptions(url)).toEqual(options));

  it.each([
    'broker:4222',
    'http://broker:4222',
    'nats://',
    'nats://a:99999',
    'nats://a/path',
    'nats://a?x=1',
    'nats://a:1,nats://b:1',
    'nats://u:%zz@h',
    '',
  ])('%j is not a NATS URL', (url) => {
    expect(isNatsUrl(url)).toBe(false);
    expect(() => natsConnectOptions(url)).toThrow(TypeError);
  });

  it.each([
    ['nats://broker:4222', 'nats://broker:4222'],
    ['nats://me:pw@broker:4222', 'nats://***@broker:4222'],
    ['tls://token@broker', 'tls://***@broker'],
    ['nats://me:p/w@x@broker', 'nats://***@broker'],
    ['nats://me:p\nw@broker', 'nats://***@broker'],
    ['me:pw@broker', '***@broker'],
  ])('redacts %j', (url, shown) => expect(redactUrl(url)).toBe(shown));
});
