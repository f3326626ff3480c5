-- explain: why a message or a lane isn't moving. Reads, changes nothing.
-- ARGV     3 'lane', 4 its name
--          3 'message', 4 id, 5 entries of its queue to look through from each end
--          3 'scheduled', 4 id, 5 how many of those before it in the schedule were looked at, 6 how many to look at now
-- returns  lane: { facts, slots }; see lane_facts
--          message: {} or { stand, facts, slots }; see below
--          scheduled: { looked at, when each of them becomes due that goes before it }
-- bounded: 100,000 entries of a queue; 256 records of it; the schedule in steps of the caller's; 1,000 slots; all workers.

local SEEN_MS = 15000
local MOST_SLOTS = 1000
local MOST_LIVING = 256

local function length_of(L, prio)
  local length = redis.pcall('LLEN', queue_of(L.name, prio))
  return type(length) == 'number' and length or 0
end

local function lane_facts(L)
  local workers = 0
  local all = call('HGETALL', WORKERS)
  for i = 2, #all, 2 do
    if tonumber(match(all[i], '^%d+')) > now - SEEN_MS then workers = workers + 1 end
  end
  local g = call('HMGET', GATE, 'stop', 'reason', 'until', 'why', 'lost')
  local gate, why = tonumber(g[3]) or 0, g[4] or ''
  local lost = restarted_until(g[5])
  if lost > gate then gate, why = lost, 'store-restarted' end
  local due = get(DUE, L.name)
  -- More than the largest plan has places for: only the last to become free matter.
  local used = tonumber(redis.pcall('ZCOUNT', L.slots, AFTER_NOW, '+inf')) or 0
  local timed = redis.pcall('ZRANGEBYSCORE', L.slots, AFTER_NOW, '+inf', 'WITHSCORES', 'LIMIT',
    max(0, used - MOST_SLOTS), MOST_SLOTS)
  local slots = {}
  for i = 1, #timed, 2 do
    slots[#slots + 1] = timed[i]
    slots[#slots + 1] = ms(tonumber(timed[i + 1]))
  end
  return {
    L.name, ms(now), L.lim, L.win, ms(L.pen), L.probe and 1 or 0, L.paused and 1 or 0, L.parked or '', L.inf, CAP,
    length_of(L, 0), length_of(L, 1), length_of(L, 2), due and ms(due) or '',
    g[1] and 1 or 0, g[1] and (g[2] or '') or why, gate > now and ms(gate) or '', workers,
  }, slots
end

local what = ARGV[3]
if what == 'lane' then
  local facts, slots = lane_facts(lane_of(ARGV[4]))
  return { facts, slots }
end

local m = read_message(ARGV[4])
if not m then return {} end
local L = lane_of(m.lane)

if what == 'scheduled' then
  local rank = call('ZRANK', SCHED.key, m.id)
  local last = (rank or 0) - 1 - tonumber(ARGV[5])
  if last < 0 then return { 0 } end
  local before = call('ZRANGE', SCHED.key, max(0, last - tonumber(ARGV[6]) + 1), last, 'WITHSCORES')
  local out = { #before / 2 }
  for i = 1, #before, 2 do
    local other = read_message(before[i])
    if other and other.lane == m.lane and other.prio <= m.prio then out[#out + 1] = ms(tonumber(before[i + 1])) end
  end
  return out
end

-- Of the first entries of a queue, those whose message waits there; the others are shadows.
local budget = MOST_LIVING
local function living(L, prio, count)
  local some = min(count, budget)
  if some == 0 then return count end
  budget = budget - some
  local ids = call('LRANGE', queue_of(L.name, prio), 0, some - 1)
  for i, entry in ipairs(ids) do ids[i] = sub(entry, 1, 16) end
  local shadows = 0
  for _, blob in ipairs(call('HMGET', M.key, unpack(ids))) do
    if not blob or string.byte(blob, 1) ~= READY then shadows = shadows + 1 end
  end
  return count - shadows
end

-- The place in its queue, 0 at the head; nil when it stands in its middle.
local function place_of(L, m)
  local entry, most = m.id .. pack('>I8', due_of(m)), tonumber(ARGV[5])
  return call('LPOS', queue_of(L.name, m.prio), entry, 'MAXLEN', most)
    or call('LPOS', queue_of(L.name, m.prio), entry, 'RANK', -1, 'MAXLEN', most)
end

local state = state_now(m)
local stand
if state == CLAIMED or state == SENDING then
  local f = read_flight(m.id)
  stand = { f.worker, ms(f.since) }
elseif state == READY or state == SCHEDULED then
  local ahead, below, cut, due = 0, 0, 0, due_of(m)
  for prio = 0, 2 do
    local length = length_of(L, prio)
    if length > 0 and (prio < m.prio or (prio == m.prio and state == SCHEDULED)) then
      ahead = ahead + living(L, prio, length)
    elseif length > 0 and prio == m.prio then
      local place, most = place_of(L, m), tonumber(ARGV[5])
      if not place then place, cut = min(length, most), length > 2 * most and 1 or 0 end
      ahead = ahead + living(L, prio, place)
    else
      below = below + length
    end
  end
  if state == SCHEDULED then due = tonumber(get(SCHED, m.id)) end
  local quiet = state == SCHEDULED and put_off_to(m) == due
  local with, as = '', 0
  for _, id in ipairs(others_of_pair(m)) do
    if with == '' and holds_pair(id) then with, as = id, state_now(read_message(id)) end
  end
  stand = { ms(due), ahead, below, cut, with, as, quiet and 1 or 0 }
else
  local note = note_of(m)
  local look = call('ZSCORE', UNK, m.lane)
  stand = { note.code, note.at > 0 and ms(note.at) or '', note.reads, state == UNKNOWN and look and ms(look) or '',
    note.intent > 0 and ms(note.intent) or '', m.policy }
end
local facts, slots = lane_facts(L)
return { { state, m.prio, ms(m.send_by), unpack(stand) }, facts, slots }
