'use strict';
// node_server.js CASE: the ws package as a server of one of our clients. Prints its port.

const fs = require('fs');
const http = require('http');
const https = require('https');
const {WebSocketServer} = require('ws');
const {next, expect, expectEchoes, run} = require('./node_shared.js');

// A web server, over TLS if the environment names a certificate.
function createServer() {
  const {TERN_CERT, TERN_KEY} = process.env;
  return TERN_CERT
      ? https.createServer({cert: fs.readFileSync(TERN_CERT), key: fs.readFileSync(TERN_KEY)})
      : http.createServer();
}

// A server whose first connection is returned.
async function accept(options = {}) {
  const web = createServer();
  const server = new WebSocketServer({server: web, ...options});
  web.listen(0, '127.0.0.1');
  await next(server, 'listening');
  console.log(server.address().port);
  return (await next(server, 'connection'))[0];
}

run({
  async sizes() {
    const socket = await accept({perMessageDeflate: true});
    expect(socket.extensions, '', 'extensions');
    await expectEchoes(socket);
    socket.send('frag', {fin: false});
    socket.send('ments', {fin: true});
    expect(String((await next(socket, 'message'))[0]), 'fragments', 'message');
    socket.ping('are you there');
    expect(String((await next(socket, 'pong'))[0]), 'are you there', 'pong');
    socket.close(1000, 'done');
    expect((await next(socket, 'close'))[0], 1000, 'close code');
  },
  async compressed(options) {
    const socket = await accept({perMessageDeflate: {threshold: 0, ...JSON.parse(options)}});
    expect(socket.extensions.startsWith('permessage-deflate'), true, 'extensions');
    await expectEchoes(socket);
    socket.send('frag', {fin: false});
    socket.send('ments'.repeat(1000), {fin: true});
    expect(String((await next(socket, 'message'))[0]), 'frag' + 'ments'.repeat(1000), 'message');
    socket.close(1000, 'done');
    expect((await next(socket, 'close'))[0], 1000, 'close code');
  },
  async echo(options) {
    const server = new WebSocketServer(
        {host: '127.0.0.1', port: 0, perMessageDeflate: JSON.parse(options)});
    server.on('connection', socket => socket.on(
        'message', (data, isBinary) => socket.send(data, {binary: isBinary})));
    await next(server, 'listening');
    console.log(server.address().port);
    await next(server, 'close');
  },
  async unix(path) {
    const web = createServer();
    const server = new WebSocketServer({server: web});
    server.on('connection', socket => socket.on(
        'message', (data, isBinary) => socket.send(data, {binary: isBinary})));
    web.listen(path);
    await next(server, 'listening');
    console.log('listening');
    await next(server, 'close');
  },
  async pinged() {
    const socket = await accept();
    for (let i = 0; i < 3; ++i) await next(socket, 'ping');
    socket.close(1000, 'done');
    expect((await next(socket, 'close'))[0], 1000, 'close code');
  },
  async drop() {
    const socket = await accept();
    socket.send('soon gone');
    await next(socket, 'message');
    socket.terminate();
    await next(socket, 'close');
  },
  async masked() {
    const socket = await accept();
    socket.send('masked', {mask: true});
    expect((await next(socket, 'close'))[0], 1002, 'close code');
  },
  async refuse() {
    const server = http.createServer();
    server.listen(0, '127.0.0.1');
    await next(server, 'listening');
    console.log(server.address().port);
    const [, socket] = await next(server, 'upgrade');
    socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 8\r\nConnection: close\r\n\r\nnot you\n');
    await next(socket, 'close');
  },
  async talk() {
    const socket = await accept();
    socket.on('message', (data, isBinary) => socket.send(data, {binary: isBinary}));
    expect((await next(socket, 'close'))[0], 1000, 'close code');
  },
});
