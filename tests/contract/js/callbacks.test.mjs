// What the official library of Standard Webhooks makes of the callbacks of a running `ringfleet up`.
//
// `SIMULATOR` holds the JSON line that the simulator prints at start, `RINGFLEET` the path of the program.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Webhook } from 'standardwebhooks';

const simulator = JSON.parse(process.env.SIMULATOR);
const OLD = 'whsec_b2xkIHNlY3JldCBvZiB0d2VudHktZm91cisgYnl0ZXM=';
const NEW = 'whsec_bmV3IHNlY3JldCBvZiB0d2VudHktZm91cisgYnl0ZXM=';
const RECIPIENT = '+15550200009';

let folder;
let account;
let endpoint;
let environment;
const running = [];
const came = [];
let wake = () => {};

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ringfleet-callbacks-'));
  const accounts = await (await fetch(simulator.accounts_url)).json();
  account = accounts[9];
  endpoint = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    came.push({ headers: request.headers, body: Buffer.concat(chunks).toString('utf8') });
    response.writeHead(204).end();
    wake();
  }).listen(0, '127.0.0.1');
  await once(endpoint, 'listening');
  await writeFile(join(folder, 'secrets'), `# the old one\n${OLD}\n${NEW}\n`);
  await writeFile(join(folder, 'accounts.json'), JSON.stringify([account]));
  const text = `from,to,text,key\n${account.numbers[0]},${RECIPIENT},Your appointment is tomorrow.,callbacks-js\n`;
  await writeFile(join(folder, 'reminders.csv'), text);
  environment = {
    ...process.env,
    RINGFLEET__STORE__URL: `sqlite:${join(folder, 'fleet.db')}`,
    RINGFLEET__STORE__DATA_DIR: folder,
    RINGFLEET__RINGCENTRAL__SERVER: simulator.base_url,
    RINGFLEET__RINGCENTRAL__CLIENT_ID: simulator.client_id,
    RINGFLEET__RINGCENTRAL__CLIENT_SECRET: simulator.client_secret,
    RINGFLEET__RINGCENTRAL__ACCOUNTS_FILE: join(folder, 'accounts.json'),
    RINGFLEET__DIRECTORY__REFRESH: 'off',
    RINGFLEET__API__LISTEN: '127.0.0.1:0',
    RINGFLEET__METRICS__LISTEN: '',
    RINGFLEET__CALLBACKS__URL: `http://127.0.0.1:${endpoint.address().port}/ringfleet`,
    RINGFLEET__CALLBACKS__SECRET_FILE: join(folder, 'secrets'),
  };
});

after(async () => {
  for (const child of running) {
    if (child.exitCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }
  endpoint.close();
  endpoint.closeAllConnections();
  await rm(folder, { recursive: true });
});

function ringfleet(...words) {
  const child = spawn(process.env.RINGFLEET, words, { env: environment, cwd: folder, stdio: 'ignore' });
  running.push(child);
  return child;
}

async function done(...words) {
  const [code] = await once(ringfleet(...words), 'exit');
  assert.equal(code, 0, words.join(' '));
}

/** The first callback that `wanted` takes, within half a minute. */
async function callback(wanted) {
  const deadline = AbortSignal.timeout(30_000);
  while (true) {
    const found = came.find((one) => wanted(JSON.parse(one.body)));
    if (found) return found;
    deadline.throwIfAborted();
    await Promise.race([new Promise((resolve) => { wake = resolve; }), once(deadline, 'abort')]);
  }
}

test('a callback is verified by either secret, and not by another or when it was changed', async () => {
  await done('callbacks', 'test');
  const tried = await callback((body) => body.type === 'test');
  assert.equal(new Webhook(OLD).verify(tried.body, tried.headers).type, 'test');

  ringfleet('up');
  await done('import', 'reminders.csv');
  const told = await callback((body) => body.type === 'messages.changed');
  for (const secret of [OLD, NEW]) {
    const { type, data } = new Webhook(secret).verify(told.body, told.headers);
    assert.equal(type, 'messages.changed');
    assert.equal(data.messages.length, 1);
    assert.match(data.messages[0].status, /^(sent|delivered)$/);
    assert.equal(data.messages[0].extension, account.extension_id);
  }
  assert.ok(!told.body.includes(RECIPIENT) && !told.body.includes('appointment'), told.body);
  const stranger = new Webhook('whsec_c3RyYW5nZXIncyBzZWNyZXQgb2YgdHdlbnR5LWZvdXIrIGJ5dGVz');
  assert.throws(() => stranger.verify(told.body, told.headers));
  assert.throws(() => new Webhook(NEW).verify(told.body.replace('msg_', 'msg-'), told.headers));
});
