'use strict';
// node_client.js CASE ws://HOST:PORT: the ws package as a client of echo_server.

const WebSocket = require('ws');
const {next, expect, expectEchoes, run} = require('./node_shared.js');

async function open(url, path = '/echo', protocols = []) {
  const socket = new WebSocket(url + path, protocols, {maxPayload: 1 << 26});
  await next(socket, 'open');
  return socket;
}

async function expectClose(socket, code) {
  const [actual] = await next(socket, 'close');
  expect(actual, code, 'close code');
}

run({
  async sizes(url) {
    const socket = await open(url);
    await expectEchoes(socket);
    socket.close(1000);
    await expectClose(socket, 1000);
  },
  async fragments(url) {
    const socket = await open(url);
    socket.send('Grü', {fin: false});
    socket.ping('between');
    socket.send('', {fin: false});
    socket.send('ße', {fin: true});
    const [data] = await next(socket, 'message');
    expect(String(data), 'Grüße', 'message');
  },
  async pings(url) {
    const socket = await open(url);
    for (const payload of ['', 'x', 'y'.repeat(125)]) {
      socket.ping(payload);
      const [data] = await next(socket, 'pong');
      expect(String(data), payload, 'payload of the pong');
    }
  },
  async declined(url) {
    const socket = new WebSocket(url + '/echo', [], {perMessageDeflate: true});
    const opened = next(socket, 'open');  // emitted right after 'upgrade'
    const [response] = await next(socket, 'upgrade');
    expect(response.headers['sec-websocket-extensions'], undefined, 'extensions');
    await opened;
    expect(socket.extensions, '', 'extensions');
    // ws fails if it offers a subprotocol and the answer has none. So this error proves that.
    const asking = new WebSocket(url + '/echo', ['chat']);
    const [error] = await next(asking, 'error');
    expect(error.message, 'Server sent no subprotocol', 'error');
  },
  async compressed(url) {
    const deflate = {threshold: 0};
    for (const options of [{}, {serverNoContextTakeover: true}, {clientNoContextTakeover: true},
                           {serverMaxWindowBits: 9}, {clientMaxWindowBits: 10}]) {
      const perMessageDeflate = {...deflate, ...options};
      const socket = new WebSocket(url + '/echo', [], {perMessageDeflate, maxPayload: 1 << 26});
      await next(socket, 'open');
      expect(socket.extensions.startsWith('permessage-deflate'), true, 'extensions');
      await expectEchoes(socket);
      socket.send('Grü', {fin: false});
      socket.ping('between');
      socket.send('', {fin: false});
      socket.send('ße'.repeat(2000), {fin: true});
      const [data] = await next(socket, 'message');
      expect(String(data), 'Grü' + 'ße'.repeat(2000), 'message');
      socket.close(1000);
      await expectClose(socket, 1000);
    }
  },
  async codes(url) {
    const closes = [[1000, 'done'], [1001, ''], [1011, 'é'.repeat(61)], [4999, 'x']];
    for (const [code, reason] of closes) {
      const socket = await open(url);
      socket.close(code, reason);
      await expectClose(socket, code);
    }
    const silent = await open(url);
    silent.close();
    await expectClose(silent, 1005);
  },
  async too_big(url) {
    const socket = await open(url);
    socket.send('x'.repeat(1000));
    expect((await next(socket, 'message'))[0].length, 1000, 'length');
    socket.send('x'.repeat(1001));
    await expectClose(socket, 1009);
  },
  async bad_utf8(url) {
    const socket = await open(url);
    socket.send(Buffer.from([0x61, 0xff]), {binary: false});
    await expectClose(socket, 1007);
  },
  async unmasked(url) {
    const socket = await open(url);
    socket.send('no mask', {mask: false});
    await expectClose(socket, 1002);
  },
  async pushes(url) {
    const socket = await open(url, '/push');
    for (const number of [1, 2, 3]) {
      expect(JSON.parse((await next(socket, 'message'))[0]).number, number, 'number');
    }
  },
  async pinged(url) {
    const socket = await open(url);
    for (let pings = 0; pings < 5; ++pings) await next(socket, 'ping');
    socket.send('still here');
    expect(String((await next(socket, 'message'))[0]), 'still here', 'message');
  },
  async not_found(url) {
    const socket = new WebSocket(url + '/nowhere');
    const [, response] = await next(socket, 'unexpected-response');
    expect(response.statusCode, 404, 'status');
  },
  async stopped(url) {
    const socket = await open(url);
    const closed = expectClose(socket, 1001);
    console.log('open');
    await closed;
  },
});
