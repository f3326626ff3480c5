// BullMQ: plain queueing (`queue`), and its own limiter against Ringfleet's simulator (`limiter`).

import { parseArgs } from 'node:util';
import { readFileSync } from 'node:fs';

import { measureQueue } from './queue.js';
import { measureLimiter } from './limiter.js';

const text = { type: 'string' };
const commands = {
  queue: {
    run: measureQueue,
    needed: ['redis', 'messages'],
    options: { redis: text, messages: text, bytes: text, concurrency: text, profile: text, seconds: text },
    defaults: { bytes: '300', concurrency: '64', profile: 'default', seconds: '900' },
  },
  limiter: {
    run: measureLimiter,
    needed: ['redis', 'simulator', 'accounts', 'client-id', 'client-secret-env', 'window-ms', 'limit', 'per-extension'],
    options: {
      redis: text, simulator: text, accounts: text, 'client-id': text, 'client-secret-env': text, 'window-ms': text,
      limit: text, 'per-extension': text, concurrency: text, seconds: text,
    },
    defaults: { concurrency: '4', seconds: '900' },
  },
};
const numbers = ['messages', 'bytes', 'concurrency', 'seconds', 'window-ms', 'limit', 'per-extension'];

function parse() {
  const [name, ...args] = process.argv.slice(2);
  const command = Object.hasOwn(commands, name ?? '') ? commands[name] : undefined;
  if (!command) throw new Error(`usage: node main.js ${Object.keys(commands).join('|')} --redis URL …`);
  const { values } = parseArgs({ args, options: command.options });
  const options = { ...command.defaults, ...values };
  for (const needed of command.needed) if (!options[needed]) throw new Error(`--${needed} is needed`);
  for (const number of numbers) {
    if (options[number] === undefined) continue;
    const value = Number(options[number]);
    if (!Number.isInteger(value) || value < 1) throw new Error(`--${number} ${options[number]}: give a whole number above 0`);
    options[number] = value;
  }
  const profiles = ['default', 'two-processes'];
  if (options.profile && !profiles.includes(options.profile)) {
    throw new Error(`--profile ${options.profile}: give ${profiles.join(' or ')}`);
  }
  return { command, options };
}

/** The installed version, read from the package itself, so that the report cannot tell another. */
const manifest = new URL('./node_modules/bullmq/package.json', import.meta.url);

try {
  const { command, options } = parse();
  const { version } = JSON.parse(readFileSync(manifest, 'utf8'));
  // A run that hangs past everything else ends here; the limiter's own --seconds is an orderly end and comes before.
  setTimeout(() => {
    console.error('peer bullmq: the run was not over before its deadline');
    process.exit(1);
  }, (options.seconds + 60) * 1000).unref();
  const result = await command.run(options);
  process.stdout.write(`${JSON.stringify({ peer: 'bullmq', version, ...result })}\n`, () => process.exit(0));
} catch (error) {
  console.error(`peer bullmq: ${error.message}`);
  process.exit(1);
}
