#!/usr/bin/env node
// An echo server on ws for Node, for the comparison with tern's, with a fan-out on /fanout. Compression is off by default. With it,
// one thread of the pool compresses, because the pool has only one core here. ws sets TCP_NODELAY itself.
'use strict';

process.env.UV_THREADPOOL_SIZE = '1';

const fs = require('fs');
const http = require('http');
const https = require('https');
const { parseArgs } = require('util');

// The distribution's ws, even if this Node comes from elsewhere.
const { WebSocketServer } = require('/usr/share/nodejs/ws');
const { version } = require('/usr/share/nodejs/ws/package.json');

const text = (value) => ({ type: 'string', default: value });
const { values: options } = parseArgs({
  options: {
    port: text('9001'), // 0: the system chooses a port
    'max-message': text(String(1 << 20)), // bytes
    'deflate-level': text('0'), // accept compression at this level; 0: do not accept it
    cert: text(''), // PEM file with a certificate; serves wss://
    key: text(''), // PEM file with its key
  },
});

const level = Number(options['deflate-level']);
const compress = level !== 0;
const server = options.cert
  ? https.createServer({ cert: fs.readFileSync(options.cert), key: fs.readFileSync(options.key) })
  : http.createServer();
const sockets = new WebSocketServer({
  server,
  maxPayload: Number(options['max-message']),
  perMessageDeflate: compress && {
    serverNoContextTakeover: true,
    clientNoContextTakeover: true,
    threshold: 0,
    zlibDeflateOptions: { level, memLevel: 8, chunkSize: 64 << 10 },
    zlibInflateOptions: { chunkSize: 64 << 10 },
  },
});

// On /fanout a message goes to all other connections, as in the example of the library.
const members = new Set();

function join(socket) {
  members.add(socket);
  socket.on('close', () => members.delete(socket));
  socket.on('message', (data, isBinary) => {
    for (const other of members) {
      if (other !== socket) other.send(data, { binary: isBinary, compress });
    }
  });
}

sockets.on('connection', (socket, request) => {
  if (request.url === '/fanout') {
    join(socket);
  } else {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary, compress }));
  }
  socket.on('error', () => {}); // a connection may end at any time
});

server.listen(Number(options.port), '127.0.0.1', () => {
  const scheme = options.cert ? 'wss' : 'ws';
  const where = `${scheme}://127.0.0.1:${server.address().port}/echo`;
  console.log(`listening on ${where} (ws ${version}, Node ${process.version})`);
});
