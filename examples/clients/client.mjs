// Hands texts in to Ringfleet so that a lost answer makes no second text. Node 18 or newer, no packages.
//
//   RINGFLEET_URL=http://127.0.0.1:8480 RINGFLEET_API_KEY=… \
//     node client.mjs +15550100001 +15550200002 crm-reminder-4712 2026-12-07T18:00:00-05:00

import { setTimeout as sleep } from 'node:timers/promises';

const url = (process.env.RINGFLEET_URL ?? 'http://127.0.0.1:8480').replace(/\/+$/, '');
const headers = { Authorization: `Bearer ${process.env.RINGFLEET_API_KEY}`, 'Content-Type': 'application/json' };
const problem = 'urn:ringfleet:problem:';
const tries = 5;

// Status, seconds to wait and body of the answer; 0 and {} if none came that can be read.
async function call(method, path, body) {
  try {
    const signal = AbortSignal.timeout(90_000);
    const answer = await fetch(url + path, { method, headers, body, signal, redirect: 'error' });
    const after = answer.headers.get('Retry-After') ?? '';
    const told = await answer.json();
    const isObject = typeof told === 'object' && told !== null;
    return { status: answer.status, after: /^\d+$/.test(after) ? Math.min(Number(after), 60) : undefined, body: isObject ? told : {} };
  } catch (error) {
    console.error('no answer that can be read:', error.name);
    return { status: 0, body: {} };
  }
}

// Whether Ringfleet itself says what became of all of it. What something on the way says in its place is no answer.
function isFinal(status, body) {
  if (String(body.type).startsWith(problem)) return ![408, 503].includes(status);
  if (status === 200 && body.results) return body.not_taken === 0 && body.unknown === 0;
  return status === 202 && Boolean(body.id);
}

async function enqueue(request) {
  // SEND-SAFETY: each try sends the same bytes, and so the same keys: what was taken by a try whose answer was lost is answered
  // with "duplicate", and the customer gets one text. A new key for each try would be a new text for each try.
  const bytes = JSON.stringify(request);
  for (let tried = 0; tried < tries; tried += 1) {
    const { status, after, body } = await call('POST', '/v1/messages', bytes);
    // SEND-SAFETY: the store has forgotten the keys, too: what it is given again now goes out again.
    if (body.type === `${problem}store-replaced`) {
      console.error('the store was exchanged: hand NOTHING in again before an operator has said what was sent');
      process.exit(3);
    }
    if (isFinal(status, body)) return body;
    if (tried + 1 < tries) await sleep((after ?? 2 ** tried) * 1000);
  }
  console.error('nobody knows whether it was taken: hand it in again later, with the same key');
  process.exit(1);
}

function show(result) {
  if (result.id && !result.errors && !result.type) return console.log(result.status, result.id);
  const errors = result.errors ?? [{ field: 'request', problem: result.detail, remedy: 'see docs/api.md' }];
  for (const { field, problem: told, remedy, id } of errors) {
    // Of key-conflict and key-taken the message that has the key has an id: look it up before you think of a new key.
    console.log(`refused ${field}: ${told}; ${remedy}`, id ?? '');
  }
}

// The key is yours: system, purpose, number in your own database. It and the time are stored there before the first try: the same
// message always gets the same ones.
const [from, to, key, send_by] = process.argv.slice(2);
const message = { from, to, text: 'Your appointment is tomorrow at 10:00.', send_by };
const one = await enqueue({ ...message, key });
show(one);
const many = await enqueue({ messages: [{ ...message, key: `${key}-b` }, { ...message, to: '12', key: `${key}-c` }] });
(many.results ?? [many]).forEach(show);
if (one.type || many.type) process.exit(2);
const { status, body: found } = await call('GET', `/v1/messages/${one.id}`);
if (status === 200 && found.id) console.log(`${found.id} is ${found.status}: ${(found.eta ?? found.why[0]).text}`);
