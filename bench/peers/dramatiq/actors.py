"""What dramatiq's own command line loads: the broker, and an actor that does nothing but count."""

import mmap
import os
import struct
import threading

import dramatiq
from dramatiq.brokers.redis import RedisBroker

broker = RedisBroker(url=os.environ["PEER_REDIS"])
dramatiq.set_broker(broker)

COUNTER = struct.Struct("=Q")
SLOTS = 4096

_lock = threading.Lock()
_counted = 0
_slots = None


def _open_slots():
    # Opened at the first job, after dramatiq has forked: each process writes in a slot of its own, so nothing is
    # shared between processes, and Redis is not asked to count.
    with open(os.environ["PEER_COUNTERS"], "r+b") as file:
        return mmap.mmap(file.fileno(), SLOTS * COUNTER.size)


@dramatiq.actor(queue_name="sms")
def sms(text):
    global _counted, _slots
    with _lock:
        if _slots is None:
            _slots = _open_slots()
        _counted += 1
        COUNTER.pack_into(_slots, os.getpid() % SLOTS * COUNTER.size, _counted)
