"""dramatiq with its Redis broker: its own command line as the worker, two processes with half of the threads each."""

import argparse
import json
import mmap
import multiprocessing
import os
import random
import signal
import string
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import redis

PROCESSES = 2
POOL = 65_536
BOOT_SECONDS = 60


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["queue"])
    parser.add_argument("--redis", required=True)
    parser.add_argument("--messages", type=positive, required=True)
    parser.add_argument("--bytes", type=positive, default=300)
    parser.add_argument("--concurrency", type=positive, default=64)
    parser.add_argument("--profile", choices=["default"], default="default")
    parser.add_argument("--seconds", type=positive, default=900)
    return parser.parse_args()


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: give a whole number above 0")
    return value


class Bodies:
    """Slices of one random text: as good as random to Redis, and next to free to make."""

    def __init__(self, size):
        if size > POOL // 2:
            raise RuntimeError(f"--bytes {size}: at most {POOL // 2}")
        self.pool = "".join(random.choices(string.ascii_letters + string.digits + " .", k=POOL))
        self.size = size

    def get(self, number):
        start = number * 7919 % (POOL - self.size)
        return self.pool[start : start + self.size]


def producer(first, messages, size, ready, go):
    """One of the processes that enqueue side by side: dramatiq has no bulk way, and threads share one core."""
    from actors import broker, sms

    bodies = Bodies(size)
    broker.client.ping()
    ready.release()
    go.wait()
    for number in range(first, messages, PROCESSES):
        sms.send(bodies.get(number))


def enqueue_parallel(messages, size, deadline):
    context = multiprocessing.get_context("spawn")
    ready, go = context.Semaphore(0), context.Event()
    producers = [
        context.Process(target=producer, args=(first, messages, size, ready, go), daemon=True) for first in range(PROCESSES)
    ]
    for each in producers:
        each.start()
    for _ in producers:
        if not ready.acquire(timeout=BOOT_SECONDS):
            raise RuntimeError(f"the enqueuing processes did not start in {BOOT_SECONDS} s")
    begun = time.perf_counter()
    go.set()
    for each in producers:
        each.join(max(deadline - time.monotonic(), 0))
        if each.exitcode != 0:
            raise RuntimeError(f"an enqueuing process ended with {each.exitcode}")
    return time.perf_counter() - begun


def run_workers(concurrency, messages, counters, client, deadline):
    """Returns the time from the first handled job of either process to the last, and how many came in it.

    The command line takes a second to load Python and to fork, which is no property of the queue. The other process
    may still be starting in it, and is idle until then.
    """
    from actors import COUNTER, SLOTS

    with open(counters, "r+b") as file:
        file.truncate(SLOTS * COUNTER.size)
        slots = mmap.mmap(file.fileno(), SLOTS * COUNTER.size)
    start = info(client)
    command = [sys.executable, "-m", "dramatiq", "actors", "--queues", "sms"]
    command += ["--processes", str(PROCESSES), "--threads", str(-(-concurrency // PROCESSES))]
    workers = subprocess.Popen(
        command, cwd=Path(__file__).parent, stdout=sys.stderr, stderr=sys.stderr, start_new_session=True
    )
    try:
        first = None
        while (handled := sum(value for (value,) in COUNTER.iter_unpack(slots))) < messages:
            if handled and first is None:
                first, before = time.perf_counter(), handled
            if workers.poll() is not None:
                raise RuntimeError(f"the workers ended with {workers.returncode} after {handled} of {messages} jobs")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{handled} of {messages} jobs were handled before the deadline")
            time.sleep(0.005)
        if first is None:
            raise RuntimeError("all jobs were handled between two looks; take more messages")
        took = time.perf_counter() - first
        # An acknowledged message is gone from the hash of bodies and from the sets of those under way.
        while client.hlen("dramatiq:sms.msgs") > 0:
            if time.monotonic() > deadline:
                raise RuntimeError("jobs are left unacknowledged at the deadline")
            time.sleep(0.005)
        end = info(client)
        workers.send_signal(signal.SIGTERM)
        workers.wait(BOOT_SECONDS)
    finally:
        if workers.poll() is None:
            os.killpg(workers.pid, signal.SIGKILL)
            workers.wait()
    return took, messages - before, start, end


def info(client):
    found = client.info()
    return {
        "commands": found["total_commands_processed"],
        "cpu_us": (found["used_cpu_user"] + found["used_cpu_sys"]) * 1e6,
        "memory": found["used_memory"],
    }


def measure(args, counters):
    deadline = time.monotonic() + args.seconds
    os.environ["PEER_REDIS"], os.environ["PEER_COUNTERS"] = args.redis, counters
    from actors import sms

    client = redis.Redis.from_url(args.redis, socket_timeout=30)
    bodies, messages = Bodies(args.bytes), args.messages
    singles = min(max(messages // 10, 1), 10_000)

    client.flushall()
    begun = time.perf_counter()
    for number in range(singles):
        sms.send(bodies.get(number))
    one = time.perf_counter() - begun

    client.flushall()
    empty = info(client)
    bulk = enqueue_parallel(messages, args.bytes, deadline)
    queued = info(client)
    took, timed, start, end = run_workers(args.concurrency, messages, counters, client, deadline)
    return {
        "peer": "dramatiq",
        "version": version("dramatiq"),
        "profile": args.profile,
        "messages": messages,
        "concurrency": args.concurrency,
        "enqueue_one_per_s": round(singles / one),
        "enqueue_bulk_per_s": round(messages / bulk),
        "process_per_s": round(timed / took),
        "redis_commands_per_job": round((end["commands"] - start["commands"]) / messages, 2),
        "redis_cpu_us_per_job": round((end["cpu_us"] - start["cpu_us"]) / messages, 2),
        "redis_bytes_per_queued_job": round((queued["memory"] - empty["memory"]) / messages),
        "settings": f"{PROCESSES} processes x {-(-args.concurrency // PROCESSES)} threads; {PROCESSES} processes enqueue; "
        "clock from the first handled job of either process",
    }


def main():
    args = options()
    with tempfile.NamedTemporaryFile(prefix="peer-dramatiq-") as counters:
        print(json.dumps(measure(args, counters.name)))


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, OSError, redis.RedisError, subprocess.TimeoutExpired) as error:
        sys.exit(f"peer dramatiq: {error}")
