-- Shared by every script; each is sent to Redis as this file followed by its own.
--
-- KEYS[1]  the shard's tag, e.g. {rf:0}. Every key below is built from it, so that a script stays inside one
--          Cluster slot although it finds its lanes only while it runs.
-- ARGV[1]  '0', or the time in ms that tests set by hand
-- ARGV[2]  the caller's rules: limit,window_ms of heavy, medium, light, auth; then the in-flight cap of a lane
--
-- Records
--   m     hash  id -> blob: state, priority, attempt, recoveries (1 byte each), created, send_at, send_by (8 each),
--               fingerprint (16), then lane, from, to, note as zero-ended strings, then the text.
--               A waiting message has state READY; standing in `sched` makes it scheduled, in `f` claimed or sending.
--   f     hash  id -> in flight: state (1), token, since, claim number, slots in use then (8 each), worker
--   lease zset  id -> end of its lease           sched zset  id -> time it becomes due
--   exp   zset  id -> send_by, while waiting     fin   zset  id -> time it ended
--   ready zset  lane -> first instant at which it may send (see reindex)
--   due   zset  lane -> when its oldest waiting message became due
--   l:<lane>  hash  pen, pau, par, inf, prb, lim, win, cnt, seen       s:<lane>  zset  slot token -> time it is free
--   q:<lane>:<priority>  list of id (16 bytes) + due (8 bytes)         c  hash  state -> messages
-- A note is code|provider id|time|token.

local T = KEYS[1]
local SCHEDULED, READY, CLAIMED, SENDING, SENT = 1, 2, 3, 4, 5
local REJECTED, EXPIRED, CANCELLED, DEAD, HELD = 6, 7, 8, 9, 10
local IN_USE = 9000000000000000 -- score of a slot whose request is under way
local HEAD = '>BBBBI8I8I8c16'
local FLIGHT = '>BI8I8I8I8'

local function ms(n) return string.format('%.0f', n) end

local M, F, LEASE, SCHED, EXP = T..':m', T..':f', T..':lease', T..':sched', T..':exp'
local READYZ, DUE, FIN, COUNTS, SEQ, GATE = T..':ready', T..':due', T..':fin', T..':c', T..':seq', T..':gate'

local now
if ARGV[1] ~= '0' then
  now = tonumber(ARGV[1])
else
  local t = redis.call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end

local rule = {}
for n in string.gmatch(ARGV[2], '%d+') do rule[#rule + 1] = tonumber(n) end
local DEFAULT = { heavy = 1, medium = 3, light = 5, auth = 7 }
local CAP = rule[9]

-- messages ---------------------------------------------------------------------------------------------------------

local function read_message(id)
  local blob = redis.call('HGET', M, id)
  if not blob then return nil end
  local m = { id = id }
  local at
  m.state, m.prio, m.attempt, m.recov, m.created, m.send_at, m.send_by, m.fp, at = struct.unpack(HEAD, blob)
  m.lane, m.from, m.to, m.note, at = struct.unpack('ssss', blob, at)
  m.text = string.sub(blob, at)
  m.blob = blob
  return m
end

local function write_message(m)
  redis.call('HSET', M, m.id,
    struct.pack(HEAD, m.state, m.prio, m.attempt, m.recov, m.created, m.send_at, m.send_by, m.fp)
    .. struct.pack('ssss', m.lane, m.from, m.to, m.note) .. m.text)
end

local function read_flight(id)
  local raw = redis.call('HGET', F, id)
  if not raw then return nil end
  local f = {}
  local at
  f.state, f.token, f.since, f.cnt, f.used, at = struct.unpack(FLIGHT, raw)
  f.worker = string.sub(raw, at)
  return f
end

local function write_flight(id, f)
  redis.call('HSET', F, id, struct.pack(FLIGHT, f.state, f.token, f.since, f.cnt, f.used) .. f.worker)
end

local moved = {}
local function count(state, by) moved[state] = (moved[state] or 0) + by end

-- lanes ------------------------------------------------------------------------------------------------------------

local lanes, touched = {}, {}

local function lane_of(name)
  local L = lanes[name]
  if L then return L end
  local v = redis.call('HMGET', T..':l:'..name, 'pen', 'pau', 'par', 'inf', 'prb', 'lim', 'win', 'cnt', 'seen')
  local d = DEFAULT[string.match(name, '[^/]+$')]
  L = {
    name = name, pen = tonumber(v[1]) or 0, paused = v[2] == '1', parked = v[3], inf = tonumber(v[4]) or 0,
    probe = v[5] == '1', lim = tonumber(v[6]) or rule[d], win = tonumber(v[7]) or rule[d + 1],
    cnt = tonumber(v[8]) or 0, seen = tonumber(v[9]) or 0, slots = T..':s:'..name, set = {},
  }
  lanes[name] = L
  return L
end

-- Marks a lane for save_lanes. `turn` says that it was served and goes behind the others.
local function touch(L, turn)
  if not L.touched then
    L.touched = true
    touched[#touched + 1] = L
  end
  if turn then L.turn = true end
end

local function put(L, field, value) L.set[field] = value end
local function in_flight(L, by) L.inf = L.inf + by; put(L, 'inf', L.inf) end
local function queue_of(L, prio) return T..':q:'..L.name..':'..prio end
-- The window, and a margin for the server's own rounding (0.1 %, at least 2 ms).
local function hold_of(L) return L.win + math.max(2, math.floor(L.win / 1000)) end

local function slots_in_use(L)
  redis.call('ZREMRANGEBYSCORE', L.slots, '-inf', now)
  return redis.call('ZCARD', L.slots)
end

-- The first instant at which the window has a place.
local function window_free_at(L)
  local used = slots_in_use(L)
  if used < L.lim then return now end
  return tonumber(redis.call('ZRANGE', L.slots, used - L.lim, used - L.lim, 'WITHSCORES')[2])
end

-- A penalty is followed by one probe alone; full speed comes back with its answer.
local function cap_of(L) if L.probe then return 1 end return CAP end

-- Takes a slot. It counts as in use until the request is settled, however long that takes.
local function take_slot(L)
  local token = redis.call('INCR', SEQ)
  redis.call('ZADD', L.slots, IN_USE, token)
  -- SEND-SAFETY: (of the plan) an older deadline of the key must not take a slot away that is in use.
  redis.call('PEXPIRE', L.slots, hold_of(L) + 3600000)
  L.cnt = L.cnt + 1
  put(L, 'cnt', L.cnt)
  return token
end

-- SEND-SAFETY: (of the plan) a slot is free one window after its response was read: the server saw the request no
-- later than that, so the slot's next request can't be one too many. now + 1 because `now` was rounded down.
local function time_slot(L, token, age)
  redis.call('ZADD', L.slots, now + 1 - age + hold_of(L), token)
  redis.call('PEXPIRE', L.slots, hold_of(L) + 3600000)
end

-- A report that comes late may tell of a request that arrived after its slot was timed for a dead worker: the later counts.
local function retime_slot(L, token, age)
  redis.call('ZADD', L.slots, 'GT', now + 1 - age + hold_of(L), token)
end

-- A request that certainly was never made gives its slot back at once.
local function drop_slot(L, token) redis.call('ZREM', L.slots, token) end

-- The plan that an answer's headers tell; documented limits lie between 1 and 1,000.
local function learn_plan(L, limit, window)
  if limit and limit > 0 and limit ~= L.lim then
    L.lim = math.min(limit, 1000)
    put(L, 'lim', L.lim)
  end
  if window and window > 0 and window ~= L.win then
    local before = hold_of(L)
    L.win = window
    put(L, 'win', window)
    -- The slots already timed were counted by the old window.
    local slots = redis.call('ZRANGEBYSCORE', L.slots, '-inf', '(' .. string.format('%.0f', IN_USE), 'LIMIT', 0, 3000)
    for _, token in ipairs(slots) do redis.call('ZINCRBY', L.slots, hold_of(L) - before, token) end
  end
end

-- Holds the lane invariant: in `ready` exactly when a message is due, the lane is neither paused nor parked, and
-- fewer than its cap are in flight; the score is the first instant at which it may send.
local function reindex(L)
  local oldest
  for prio = 0, 2 do
    local head = redis.call('LINDEX', queue_of(L, prio), 0)
    if head then
      local due = struct.unpack('>I8', head, 17)
      if not oldest or due < oldest then oldest = due end
    end
  end
  if not oldest then
    redis.call('ZREM', READYZ, L.name)
    redis.call('ZREM', DUE, L.name)
    return
  end
  redis.call('ZADD', DUE, oldest, L.name)
  if L.paused or L.parked or L.inf >= cap_of(L) then
    redis.call('ZREM', READYZ, L.name)
    return
  end
  local at = math.max(L.pen, window_free_at(L))
  if at <= now and not L.turn then
    -- A lane that waits for its turn keeps its place.
    local place = redis.call('ZSCORE', READYZ, L.name)
    if place and tonumber(place) <= now then return end
  end
  redis.call('ZADD', READYZ, at, L.name)
end

-- Every script ends with it: writes what changed of the lanes, then their place, then the counts.
local function save()
  for _, L in ipairs(touched) do
    local args = { 'HSET', T..':l:'..L.name }
    for field, value in pairs(L.set) do
      args[#args + 1] = field
      args[#args + 1] = value
    end
    if #args > 2 then redis.call(unpack(args)) end
    reindex(L)
  end
  for state, by in pairs(moved) do
    if by ~= 0 then redis.call('HINCRBY', COUNTS, state, by) end
  end
end

-- moves ------------------------------------------------------------------------------------------------------------

local function due_of(m) return math.max(m.created, m.send_at) end

local function enqueue_back(L, m)
  redis.call('RPUSH', queue_of(L, m.prio), m.id .. struct.pack('>I8', due_of(m)))
  count(READY, 1)
end

local function enqueue_front(L, m)
  redis.call('LPUSH', queue_of(L, m.prio), m.id .. struct.pack('>I8', due_of(m)))
  count(READY, 1)
end

-- Takes a message out of its worker's hand.
local function leave_flight(L, m, f)
  redis.call('HDEL', F, m.id)
  redis.call('ZREM', LEASE, m.id)
  count(f.state, -1)
  in_flight(L, -1)
end

local function close(m, state, code, provider_id, token)
  m.state = state
  m.note = code .. '|' .. provider_id .. '|' .. string.format('%.0f', now) .. '|' .. string.format('%.0f', token)
  if state == SENT then m.text = '' end
  write_message(m)
  if m.send_by > 0 then redis.call('ZREM', EXP, m.id) end
  if state ~= HELD then redis.call('ZADD', FIN, now, m.id) end
  if state == HELD or state == DEAD then redis.call('ZADD', T..':in:'..state, now, m.id) end
  count(state, 1)
end

local function token_of(note) return tonumber(string.match(note, '|(%d+)$')) end

-- The gate: nil when open, else the time at which to ask again (IN_USE for a stop without an end).
local function gate_until()
  local g = redis.call('HMGET', GATE, 'stop', 'until')
  if g[1] then return IN_USE end
  local until_ms = tonumber(g[2])
  if until_ms and until_ms > now then return until_ms end
  return nil
end
