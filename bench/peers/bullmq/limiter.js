// BullMQ's own limiter in front of the simulator: a queue for each extension, as its limiter has one budget a queue.

import { readFileSync } from 'node:fs';

import { Queue, RateLimitError, Worker } from 'bullmq';
import { Redis } from 'ioredis';

const BULK = 500;
const REQUEST_DEADLINE_MS = 30_000;

export async function measureLimiter(options) {
  const { redis, simulator, limit, seconds, concurrency } = options;
  const window = options['window-ms'];
  const perExtension = options['per-extension'];
  const secret = process.env[options['client-secret-env']];
  if (!secret) throw new Error(`the environment has no ${options['client-secret-env']}`);
  const app = { base: simulator.replace(/\/$/, ''), id: options['client-id'], secret };
  const accounts = JSON.parse(readFileSync(options.accounts, 'utf8'));

  const observer = new Redis(redis, { maxRetriesPerRequest: null });
  await observer.flushall();
  // The queues' plain commands share one connection; each worker opens a second one, for its blocking call, by itself.
  const shared = new Redis(redis, { maxRetriesPerRequest: null });
  shared.setMaxListeners(0);

  const state = { accepted: 0, http429: 0, failed: 0, expected: accounts.length * perExtension };
  const lanes = [];
  for (const account of accounts) lanes.push(await openLane(account, app, shared, perExtension));

  let end;
  const ended = new Promise((resolve) => { end = resolve; });
  const timer = setTimeout(end, seconds * 1000);
  const settled = () => { if (state.accepted + state.failed === state.expected) end(); };
  const workers = lanes.map((lane) => {
    const worker = new Worker(lane.queue.name, (job) => send(lane, job, state), {
      connection: shared, concurrency, autorun: false, limiter: { max: limit, duration: window },
    });
    worker.on('completed', settled);
    worker.on('failed', (_job, error) => {
      state.failed += 1;
      console.error(`a job failed: ${error.message}`);
      settled();
    });
    worker.on('error', (error) => console.error(`worker: ${error.message}`));
    return worker;
  });
  await Promise.all(workers.map((worker) => worker.waitUntilReady()));

  const begun = performance.now();
  for (const worker of workers) worker.run().catch((error) => console.error(`worker: ${error.message}`));
  await ended;
  const took = performance.now() - begun;
  clearTimeout(timer);
  await Promise.allSettled(workers.map((worker) => worker.close()));
  await Promise.allSettled(lanes.map((lane) => lane.queue.close()));
  observer.disconnect();
  shared.disconnect();
  if (state.failed > 0) throw new Error(`${state.failed} jobs failed, ${state.accepted} were accepted`);
  return { accepted: state.accepted, http_429: state.http429, seconds: Math.round(took) / 1000 };
}

async function openLane(account, app, connection, perExtension) {
  const queue = new Queue(`sms-${account.extension_id}`, { connection });
  for (let first = 0; first < perExtension; first += BULK) {
    const jobs = [];
    for (let number = first; number < Math.min(first + BULK, perExtension); number += 1) {
      const to = `+1555020${String(number % 10_000).padStart(4, '0')}`;
      jobs.push({
        name: 'sms',
        data: { to, text: `Message ${number} from ${account.extension_id}` },
        opts: { removeOnComplete: true },
      });
    }
    await queue.addBulk(jobs);
  }
  return { queue, account, app, token: await login(app, account) };
}

async function login(app, account) {
  const response = await fetch(`${app.base}/restapi/oauth/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${app.id}:${app.secret}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: account.jwt }),
    redirect: 'error',
    signal: AbortSignal.timeout(REQUEST_DEADLINE_MS),
  });
  if (!response.ok) throw new Error(`the login of extension ${account.extension_id} was answered with ${response.status}`);
  return (await response.json()).access_token;
}

async function send(lane, job, state) {
  const response = await fetch(`${lane.app.base}/restapi/v1.0/account/~/extension/~/sms`, {
    method: 'POST',
    headers: { authorization: `Bearer ${lane.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      from: { phoneNumber: lane.account.numbers[0] },
      to: [{ phoneNumber: job.data.to }],
      text: job.data.text,
    }),
    redirect: 'error',
    signal: AbortSignal.timeout(REQUEST_DEADLINE_MS),
  });
  await response.arrayBuffer();
  if (response.status === 429) {
    state.http429 += 1;
    // What BullMQ documents for a limit that the other side tells: stop the whole queue, and put this job back.
    const seconds = Number(response.headers.get('retry-after'));
    await lane.queue.rateLimit(seconds > 0 ? Math.ceil(seconds * 1000) : 30_000);
    throw new RateLimitError();
  }
  if (!response.ok) throw new Error(`a send was answered with ${response.status}`);
  state.accepted += 1;
}
