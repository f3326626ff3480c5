// Hands texts in to Ringfleet so that a lost answer makes no second text. Node 20 or newer, no packages.
//
//   RINGFLEET_URL=http://127.0.0.1:8480 RINGFLEET_API_KEY=… node client.mjs +15550100001 +15550200002 crm-reminder-4712

import { setTimeout as sleep } from 'node:timers/promises';

const url = process.env.RINGFLEET_URL ?? 'http://127.0.0.1:8480';
const headers = { Authorization: `Bearer ${process.env.RINGFLEET_API_KEY}`, 'Content-Type': 'application/json' };
const tries = 5;

async function call(method, path, body) {
  const signal = AbortSignal.timeout(90_000);
  const answer = await fetch(url + path, { method, headers, body, signal, redirect: 'error' });
  return { status: answer.status, after: answer.headers.get('Retry-After'), body: await answer.json() };
}

async function enqueue(request) {
  // SEND-SAFETY: each try sends the same bytes, and so the same keys: what was taken by a try whose answer was lost is answered
  // with "duplicate", and the customer gets one text. A new key for each try would be a new text for each try.
  const bytes = JSON.stringify(request);
  for (let tried = 0; tried < tries; tried += 1) {
    let wait = 2 ** tried;
    try {
      const { status, after, body } = await call('POST', '/v1/messages', bytes);
      const unsettled = status === 200 && body.not_taken + body.unknown > 0;
      if (!unsettled && ![408, 429, 502, 503, 504].includes(status)) return body;
      // Coming back does not help: an operator must act first.
      if (body.type?.endsWith(':store-replaced')) break;
      if (/^\d+$/.test(after ?? '')) wait = Math.min(Number(after), 60);
    } catch (error) {
      console.error('no answer that can be read:', error.name);
    }
    if (tried + 1 < tries) await sleep(wait * 1000);
  }
  console.error('nobody knows whether it was taken: hand it in again later, with the same key');
  process.exit(1);
}

function show(result) {
  if (result.id && !result.errors) return console.log(result.status, result.id);
  const errors = result.errors ?? [{ field: 'request', problem: result.detail, remedy: 'see docs/api.md' }];
  for (const { field, problem, remedy, id } of errors) {
    // Of key-conflict and key-taken the message that has the key has an id: look it up before you think of a new key.
    console.log(`refused ${field}: ${problem}; ${remedy}`, id ?? '');
  }
}

const [from, to, key] = process.argv.slice(2);
const message = { from, to, text: 'Your appointment is tomorrow at 10:00.' };
// The key is yours: system, purpose, number in your own database. The same message always gets the same one.
const one = await enqueue({ ...message, key });
show(one);
const many = await enqueue({ messages: [{ ...message, key: `${key}-b` }, { ...message, to: '12', key: `${key}-c` }] });
(many.results ?? [many]).forEach(show);
if (one.id) {
  const { body: found } = await call('GET', `/v1/messages/${one.id}`);
  console.log(`${found.id} is ${found.status}: ${(found.eta ?? found.why[0]).text}`);
}
