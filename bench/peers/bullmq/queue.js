// Plain queueing: one at a time, addBulk, and one process whose worker does nothing but count.

import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';

const NAME = 'sms';
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
  const took = await processAll(redis, messages, concurrency, seconds);
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
    settings: `1 process, 1 worker with concurrency ${concurrency}; addBulk of ${BULK}, ${UNDER_WAY} under way; removeOnComplete`,
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
  let handled = 0;
  let last;
  let finish;
  const finished = new Promise((resolve, reject) => {
    finish = resolve;
    setTimeout(() => reject(new Error(`${handled} of ${messages} jobs were handled in ${seconds} s`)), seconds * 1000).unref();
  });
  const count = async () => {
    handled += 1;
    if (handled === messages) {
      last = performance.now();
      finish();
    }
  };
  const worker = new Worker(NAME, count, { connection: { url: redis, maxRetriesPerRequest: null }, concurrency, autorun: false });
  worker.on('error', (error) => console.error(`worker: ${error.message}`));
  await worker.waitUntilReady();
  const begun = performance.now();
  const running = worker.run();
  await finished;
  // Waits for the jobs whose handler has returned, but whose acknowledgement is still on its way.
  await worker.close();
  await running;
  return last - begun;
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
