// A worker whose handler does nothing but count; started by itself it is one of several processes (see queue.js).

import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';

import { Worker } from 'bullmq';

export const NAME = 'sms';

/** The same clock in every process, in ms. */
export const wallClock = () => performance.timeOrigin + performance.now();

/** `handled` and `last` (of `performance.now()`) grow while it runs; `close` waits for what is still to be acknowledged. */
export function startWorker(redis, concurrency) {
  const drain = { handled: 0, last: 0 };
  const count = async () => {
    drain.handled += 1;
    drain.last = performance.now();
  };
  const worker = new Worker(NAME, count, { connection: { url: redis, maxRetriesPerRequest: null }, concurrency, autorun: false });
  worker.on('error', (error) => console.error(`worker: ${error.message}`));
  drain.ready = worker.waitUntilReady();
  let running;
  drain.run = () => {
    running = worker.run();
  };
  drain.close = async () => {
    await worker.close();
    await running;
  };
  return drain;
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const drain = startWorker(argv[2], Number(argv[3]));
  await drain.ready;
  const tell = () => process.send({ handled: drain.handled, last: performance.timeOrigin + drain.last });
  let telling;
  process.on('message', async (word) => {
    if (word === 'run') {
      drain.run();
      telling = setInterval(tell, 2);
    } else {
      clearInterval(telling);
      await drain.close();
      process.disconnect();
    }
  });
  // Whoever started it is gone.
  process.on('disconnect', () => process.exit());
  process.send('ready');
}
