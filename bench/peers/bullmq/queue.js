// Plain queueing: one at a time, addBulk, and one or two processes whose workers do nothing but count.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { Queue } from 'bullmq';
import { Redis } from 'ioredis';

import { NAME, startWorker, wallClock } from './drain.js';

const BULK = 500;
const UNDER_WAY = 4;
const POOL = 65_536;

// BullMQ keeps completed jobs for ever by default. They are removed here, as in any long-running installation.
const jobOptions = { removeOnComplete: true };

export async function measureQueue({ redis, messages, bytes, concurrency, profile, seconds }) {
  if (bytes > POOL / 2) throw new Error(`--bytes ${bytes}: at most ${POOL / 2}`);
  const observer = new Redis(redis, { maxRetriesPerRequest: 1 });
  const body = bodies(bytes);
  const singles = Math.min(Math.max(Math.floor(messages / 10), 1), 10_000);

  await observer.flushall();
  let queue = await open(redis);
  let begun = performance.now();
  for (let number = 0; number < singles; number += 1) await queue.add(NAME, { text: body(number) }, jobOptions);
  const one = performance.now() - begun;
  await queue.close();

  await observer.flushall();
  queue = await open(redis);
  const empty = await info(observer);
  begun = performance.now();
  await enqueueAll(queue, messages, body);
  const bulk = performance.now() - begun;
  const queued = await info(observer);

  const start = await info(observer);
  const two = profile === 'two-processes';
  const took = await (two ? processAllByTwo : processAll)(redis, messages, concurrency, seconds);
  const end = await info(observer);

  const left = await queue.getJobCounts('wait', 'active', 'delayed', 'failed', 'prioritized');
  await queue.close();
  observer.disconnect();
  if (Object.values(left).some((count) => count > 0)) throw new Error(`jobs are left: ${JSON.stringify(left)}`);
  return {
    profile,
    messages,
    concurrency,
    enqueue_one_per_s: Math.round((singles / one) * 1000),
    enqueue_bulk_per_s: Math.round((messages / bulk) * 1000),
    process_per_s: Math.round((messages / took) * 1000),
    redis_commands_per_job: hundredths((end.commands - start.commands) / messages),
    redis_cpu_us_per_job: hundredths((end.cpuUs - start.cpuUs) / messages),
    redis_bytes_per_queued_job: Math.round((queued.memory - empty.memory) / messages),
    settings: `${two ? '2 processes, each a worker with half' : '1 process, a worker with all'} of ${concurrency} handlers; addBulk of ${BULK}, ${UNDER_WAY} under way; removeOnComplete`,
  };
}

/** Batch after batch, several of them under way over the queue's one connection, as Ringfleet's bulk enqueue has them. */
async function enqueueAll(queue, messages, body) {
  let next = 0;
  const batches = async () => {
    while (next < messages) {
      const first = next;
      next += BULK;
      const jobs = [];
      for (let number = first; number < Math.min(first + BULK, messages); number += 1) {
        jobs.push({ name: NAME, data: { text: body(number) }, opts: jobOptions });
      }
      await queue.addBulk(jobs);
    }
  };
  await Promise.all(Array.from({ length: UNDER_WAY }, batches));
}

/** From the worker's start to the last handled job, in ms. Returns when every job is acknowledged as well. */
async function processAll(redis, messages, concurrency, seconds) {
  const drain = startWorker(redis, concurrency);
  await drain.ready;
  const begun = performance.now();
  const end = begun + seconds * 1000;
  drain.run();
  while (drain.handled < messages) {
    if (performance.now() > end) throw new Error(`${drain.handled} of ${messages} jobs were handled in ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await drain.close();
  return drain.last - begun;
}

/** The same by two processes, each with half of the handlers; the clock is the system's, which both of them read. */
async function processAllByTwo(redis, messages, concurrency, seconds) {
  const program = fileURLToPath(new URL('./drain.js', import.meta.url));
  const children = [0, 1].map(() => fork(program, [redis, String(Math.ceil(concurrency / 2))]));
  const told = children.map(() => ({ handled: 0, last: 0 }));
  try {
    await Promise.all(children.map((child) => once(child, 'message')));
    children.forEach((child, at) => child.on('message', (counted) => { told[at] = counted; }));
    const handled = () => told[0].handled + told[1].handled;
    const begun = wallClock();
    const end = begun + seconds * 1000;
    for (const child of children) child.send('run');
    while (handled() < messages) {
      if (children.some((child) => child.exitCode !== null)) throw new Error('a process of the worker has ended');
      if (wallClock() > end) throw new Error(`${handled()} of ${messages} jobs were handled in ${seconds} s`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    for (const child of children) child.send('close');
    await Promise.all(children.map((child) => child.exitCode === null && once(child, 'exit')));
    return Math.max(told[0].last, told[1].last) - begun;
  } finally {
    for (const child of children) child.kill();
  }
}

async function open(redis) {
  const queue = new Queue(NAME, { connection: { url: redis } });
  queue.on('error', (error) => console.error(`queue: ${error.message}`));
  await queue.waitUntilReady();
  return queue;
}

/** Bodies are slices of one random text: as good as random to Redis, and next to free to make. */
function bodies(bytes) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .';
  let pool = '';
  for (let index = 0; index < POOL; index += 1) pool += alphabet[Math.floor(Math.random() * alphabet.length)];
  return (number) => {
    const start = (number * 7919) % (POOL - bytes);
    return pool.slice(start, start + bytes);
  };
}

async function info(observer) {
  const text = await observer.info();
  const field = (name) => Number(new RegExp(`^${name}:(.*)$`, 'm').exec(text)[1]);
  return {
    commands: field('total_commands_processed'),
    cpuUs: (field('used_cpu_user') + field('used_cpu_sys')) * 1e6,
    memory: field('used_memory'),
  };
}

const hundredths = (value) => Math.round(value * 100) / 100;
