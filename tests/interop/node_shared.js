'use strict';
// The common part of both sides: payloads, waits for events, and an error when one does not come.

// Sizes on both sides of each form of the length (RFC 6455 §5.2), and far beyond one read.
const sizes = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20];

// Payloads of exactly that many bytes. The text has characters of one to four bytes.
const text = size => 'aé€😀'.repeat(Math.floor(size / 10)) + 'x'.repeat(size % 10);
const binary = size => Buffer.from(Array.from({length: size}, (_, i) => i % 251));

// The next event of a name, with its arguments.
const next = (emitter, name) => new Promise((resolve, reject) => {
  emitter.once(name, (...values) => resolve(values));
  if (name !== 'error') emitter.once('error', reject);
  if (name === 'message') emitter.once('close', code => reject(new Error('closed with ' + code)));
});

function expect(actual, wanted, what) {
  const same = Buffer.isBuffer(wanted) ? wanted.equals(actual) : actual === wanted;
  const shown = value => String(value).slice(0, 100);
  if (!same) throw new Error(`${what}: ${shown(actual)}, expected ${shown(wanted)}`);
}

// Sends each size in both types and waits for the echo.
async function expectEchoes(socket) {
  for (const size of sizes) {
    for (const payload of [text(size), binary(size)]) {
      socket.send(payload);
      const [data, isBinary] = await next(socket, 'message');
      expect(isBinary, Buffer.isBuffer(payload), 'type of ' + size);
      expect(data, Buffer.from(payload), 'echo of ' + size);
    }
  }
}

// Runs a case. Exits with 0 when it succeeds.
function run(cases) {
  setTimeout(() => { console.log('timed out'); process.exit(1); }, 30000);
  cases[process.argv[2]](...process.argv.slice(3)).then(
      () => process.exit(0), error => { console.log(error.stack); process.exit(1); });
}

module.exports = {next, expect, expectEchoes, run};
