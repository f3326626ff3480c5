-- Shared by every script; each is sent to Redis as this file followed by its own.
--
-- KEYS[1]  the shard's tag, e.g. {rf:0}. Every key below is built from it, so that a script stays inside one
--          Cluster slot although it finds its lanes only while it runs.
-- ARGV[1]  '0', or the time in ms that tests set by hand
-- ARGV[2]  the epoch that the caller knows, '|', then its rules: limit,window_ms of heavy, medium, light, auth; then
--          the in-flight cap of a lane; then how long a worker is waited for after a restart of the store, in ms; then
--          how long a sent message waits for its delivery report, in ms (0 = not at all)
--
-- Records
--   m     hash  id -> blob: state, priority, attempt, recoveries, what to do when its fate is unknown (1 byte each),
--               created, send_at, send_by (8 each), fingerprint (16), then lane, from, to, note as zero-ended strings,
--               then the text.
--               A waiting message has state READY; standing in `sched` makes it scheduled, in `f` claimed or sending.
--   f     hash  id -> in flight: state (1), token, since, claim number, slots in use then (8 each), worker
--   lease zset  id -> end of its lease           sched zset  id -> time it becomes due
--   exp   zset  id -> send_by, while waiting     fin   zset  id -> time it ended
--   ready zset  lane -> first instant at which it may send (see reindex)
--   due   zset  lane -> when its oldest waiting message became due
--   l:<lane>  hash  pen, pau, par, inf, prb, lim, win, cnt, seen, unk, lck, snd, dlk, look, old
--   s:<lane>  zset  slot token -> time it is free
--   q:<lane>:<priority>  list of id (16 bytes) + due (8 bytes)         c  hash  state -> messages
--   pair  hash  from NUL to -> id of the message between them that is in flight or of unknown fate; more than one id only
--               where late evidence told of a second one
--   unk   zset  lane -> when its unknown messages are looked at next   u:<lane>  zset  id -> since when its fate is unknown
--   doc:<kind>  hash  key -> rev, changed, end (8 each, 0 = none), body    docrev:<kind>  zset  key -> rev, also of those gone
--   docend  zset  kind/key -> end    docgone  zset  kind/key -> rev of its removal    docfloor  hash  kind -> the greatest
--               revision of a removal that is forgotten
--   wait:<lane>  zset  provider id -> since when it may have been sent, of sent messages that wait for a delivery report
--   waitid:<lane>  hash  provider id -> message, of the same    told:<lane>  zset  provider id -> when its report came, of an
--               hour
--   look  zset  lane -> when its reports are looked for next    oldest  zset  lane -> the earliest time in its wait (both stand
--               in its l too, so that a send which changes neither writes neither)
--   out   zset  extension NUL from NUL to -> revision: who wants no texts. No extension = of every one, from '*' = any number
--   k:<lane>  zset  provider id -> when it was credited to a message, of the last 15 minutes or since the lane has unknown
--               ones, but for those in wait
--   seq   the last token given out   clock  hash hw, off, steps (see below)   epoch  format:name   inc  hash id, n, at
--   w:<worker>  the number of its last claim and what it gave      junk  hash  id, or name of a queue -> what can't be read
-- A note is code|provider id|time|token|intent|reads; the last two only where a send's fate is or was unknown. A waiting
-- message has a note only after its fate was found out: its token is the last whose story is closed.

local T = KEYS[1]
local SCHEDULED, READY, CLAIMED, SENDING, SENT = 1, 2, 3, 4, 5
local REJECTED, EXPIRED, CANCELLED, DEAD, HELD, UNKNOWN, SUPPRESSED = 6, 7, 8, 9, 10, 11, 12
local DELIVERED, DELIVERY_FAILED = 13, 14
local RECONCILE, HOLD, RESEND = 0, 1, 2
local IN_USE = 9000000000000000 -- score of a slot whose request is under way
local HEAD = '>BBBBBI8I8I8c16'
local MOST_SENDS = 5 -- of one message that is sent again because its policy says so
local CREDIT_MS = 900000
local SLOTS_KEPT = 3600000 -- how long a lane's slots outlive their last use, in ms
local TOKENS_A_MS = 2048 -- a token tells the time at which it was given out
local FLIGHT = '>BI8I8I8I8'

-- Whole numbers as Redis takes them. A number that is given as such is printed as a fraction first, which takes several times
-- as long, so that the calls on every message's way are given text.
local function ms(n) return string.format('%d', n) end

local M, F, LEASE, SCHED, EXP = T..':m', T..':f', T..':lease', T..':sched', T..':exp'
local READYZ, DUE, FIN, COUNTS, SEQ, GATE = T..':ready', T..':due', T..':fin', T..':c', T..':seq', T..':gate'
local PAIR, UNK, CLOCK, OUT = T..':pair', T..':unk', T..':clock', T..':out'
local LOOK, OLDEST = T..':look', T..':oldest'
local DOC_ENDS, DOC_GONE, DOC_FLOOR = T..':docend', T..':docgone', T..':docfloor'

-- SEND-SAFETY: a store that was flushed or exchanged has forgotten what was sent. Nobody goes on with it unawares.
local known_epoch, rules_text = string.match(ARGV[2], '^([^|]*)|(.*)$')
local epoch = redis.call('GET', T..':epoch')
if epoch ~= known_epoch then
  return redis.error_reply((epoch and 'EPOCH' or 'NOEPOCH') .. ' this is not the data that the caller began with')
end

-- The fleet's time never goes back and never stands still: when the server's clock steps back by more than a second,
-- `off` makes up for it, and is then taken back at a tenth of the time that passes.
local now, clock
if ARGV[1] ~= '0' then
  now = tonumber(ARGV[1])
else
  local t = redis.call('TIME')
  local c = redis.call('HMGET', CLOCK, 'hw', 'off')
  local high, off = tonumber(c[1]) or 0, tonumber(c[2]) or 0
  now = t[1] * 1000 + math.floor(t[2] / 1000) + off
  if now < high - 1000 then
    off = off + high - now
    now = high
    clock = { 'HSET', CLOCK, 'off', ms(off), 'steps', (tonumber(redis.call('HGET', CLOCK, 'steps')) or 0) + 1 }
  elseif now > high + 1000 then
    local back = high > 0 and math.min(off, math.floor((now - high) / 10)) or 0
    now = now - back
    clock = { 'HSET', CLOCK, 'hw', ms(now) }
    if back > 0 then
      clock[5] = 'off'
      clock[6] = ms(off - back)
    end
  end
end

local rule = {}
for n in string.gmatch(rules_text, '%d+') do rule[#rule + 1] = tonumber(n) end
local DEFAULT = { heavy = 1, medium = 3, light = 5, auth = 7 }
local CAP = rule[9]
local REPORT_WAIT = rule[11]
local FIRST_REPORT = 30000 -- reports are looked for so long after a send

-- messages ---------------------------------------------------------------------------------------------------------

local function parse(m, blob)
  local at
  m.state, m.prio, m.attempt, m.recov, m.policy, m.created, m.send_at, m.send_by, m.fp, at = struct.unpack(HEAD, blob)
  m.lane, m.from, m.to, m.note, at = struct.unpack('ssss', blob, at)
  m.text = string.sub(blob, at)
end

-- Nil for one that is not there; nil and the blob for one that is no message.
local function read_message(id)
  local blob = redis.call('HGET', M, id)
  if not blob then return nil end
  local m = { id = id, blob = blob }
  if not pcall(parse, m, blob) then return nil, blob end
  local group = string.match(m.lane, '^[%w_.~*-]+/[%w_.~*-]+/(%l+)$')
  -- The time tells a record of another format: its fields lie elsewhere.
  local sound = DEFAULT[group or ''] and m.state >= 1 and m.state <= DELIVERY_FAILED and m.prio <= 2 and m.policy <= RESEND
    and m.created > 0 and m.created < 100000000000000
  if not sound then return nil, blob end
  return m
end

local function write_message(m)
  redis.call('HSET', M, m.id,
    struct.pack(HEAD, m.state, m.prio, m.attempt, m.recov, m.policy, m.created, m.send_at, m.send_by, m.fp)
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
local awaited = {} -- lane -> the earliest time of those whose report is waited for from now on

local function lane_of(name)
  local L = lanes[name]
  if L then return L end
  local v = redis.call('HMGET', T..':l:'..name, 'pen', 'pau', 'par', 'inf', 'prb', 'lim', 'win', 'cnt', 'seen',
    'unk', 'lck', 'snd', 'dlk', 'look', 'old')
  local d = DEFAULT[string.match(name, '[^/]+$')]
  L = {
    name = name, pen = tonumber(v[1]) or 0, paused = v[2] == '1', parked = v[3], inf = tonumber(v[4]) or 0,
    probe = v[5] == '1', lim = tonumber(v[6]) or rule[d], win = tonumber(v[7]) or rule[d + 1],
    cnt = tonumber(v[8]) or 0, seen = tonumber(v[9]) or 0, unk = tonumber(v[10]) or 0,
    looked_at = tonumber(v[11]) or 0, sending = tonumber(v[12]) or 0, reports_locked = tonumber(v[13]) or 0,
    report_look = tonumber(v[14]), oldest_report = tonumber(v[15]), slots = T..':s:'..name, set = {},
  }
  lanes[name] = L
  return L
end

-- Marks a lane for save: what is kept of it changes, but nothing that says when it may send.
local function keep(L)
  if not L.touched then
    L.touched = true
    touched[#touched + 1] = L
  end
end

-- Marks a lane for save, with its place in the index. `turn` says that it was served and goes behind the others.
local function touch(L, turn)
  keep(L)
  L.moves = true
  if turn then L.turn = true end
end

local function put(L, field, value) L.set[field] = value end
local function in_flight(L, by) L.inf = L.inf + by; put(L, 'inf', ms(L.inf)) end
-- POSTs under way, for which a renewal of the extension's token waits.
local function sending(L, by) L.sending = math.max(0, L.sending + by); put(L, 'snd', ms(L.sending)) end
local function queue_of(lane, prio) return T..':q:'..lane..':'..prio end
-- The window, and a margin for the server's own rounding (0.1 %, at least 2 ms).
local function hold_of(L) return L.win + math.max(2, math.floor(L.win / 1000)) end

local function slots_in_use(L)
  redis.call('ZREMRANGEBYSCORE', L.slots, '-inf', ms(now))
  return redis.call('ZCARD', L.slots)
end

-- The first instant at which the window has a place. `claim` has counted already.
local function window_free_at(L)
  local used = L.used or slots_in_use(L)
  if used < L.lim then return now end
  return tonumber(redis.call('ZRANGE', L.slots, used - L.lim, used - L.lim, 'WITHSCORES')[2])
end

-- A penalty is followed by one probe alone; full speed comes back with its answer.
local function cap_of(L) if L.probe then return 1 end return CAP end

-- SEND-SAFETY: a token is made of the time as well as of the one before, so that a store which has lost its last second
-- never gives a token out twice: a report of the lost second would pass for one of the new lease.
local seq
local function next_token()
  seq = math.max((seq or tonumber(redis.call('GET', SEQ)) or 0) + 1, now * TOKENS_A_MS)
  return seq
end

-- Takes a slot. It counts as in use until the request is settled, however long that takes.
local function take_slot(L)
  local token = next_token()
  redis.call('ZADD', L.slots, IN_USE, ms(token))
  -- SEND-SAFETY: (of the plan) an older deadline of the key must not take a slot away that is in use.
  redis.call('PEXPIRE', L.slots, ms(hold_of(L) + SLOTS_KEPT))
  L.cnt = L.cnt + 1
  put(L, 'cnt', ms(L.cnt))
  return token
end

-- SEND-SAFETY: (of the plan) a slot is free one window after its response was read: the server saw the request no
-- later than that, so the slot's next request can't be one too many. now + 1 because `now` was rounded down.
local function time_slot(L, token, age)
  redis.call('ZADD', L.slots, ms(now + 1 - age + hold_of(L)), ms(token))
  -- The deadline that was set when the slot was taken is far enough away, unless that was long ago.
  if now - math.floor(token / TOKENS_A_MS) > SLOTS_KEPT / 2 then
    redis.call('PEXPIRE', L.slots, ms(hold_of(L) + SLOTS_KEPT))
  end
end

-- A report that comes late may tell of a request that arrived after its slot was timed for a dead worker: the later counts.
local function retime_slot(L, token, age)
  redis.call('ZADD', L.slots, 'GT', now + 1 - age + hold_of(L), ms(token))
end

-- A request that certainly was never made gives its slot back at once.
local function drop_slot(L, token) redis.call('ZREM', L.slots, ms(token)) end

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
-- What is due stands in `due` as it was last written, unless the lane's queues have changed since.
local function reindex(L)
  local oldest
  if not L.queued then oldest = tonumber(redis.call('ZSCORE', DUE, L.name)) end
  for prio = 0, L.queued and 2 or -1 do
    local head = redis.pcall('LINDEX', queue_of(L.name, prio), 0)
    -- A key of another kind where the queue should be stops this lane, and no other.
    if type(head) == 'table' then
      oldest = nil
      redis.call('HSET', T..':l:'..L.name, 'par', 'unreadable-queue')
      redis.call('HSET', T..':junk', 'queue of ' .. L.name, '')
      break
    elseif head then
      local due = struct.unpack('>I8', head, 17)
      if not oldest or due < oldest then oldest = due end
    end
  end
  if not oldest then
    redis.call('ZREM', READYZ, L.name)
    redis.call('ZREM', DUE, L.name)
    return
  end
  if L.queued then redis.call('ZADD', DUE, ms(oldest), L.name) end
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
  redis.call('ZADD', READYZ, ms(at), L.name)
end

local function plan_report_look(name, at)
  redis.call('ZADD', LOOK, ms(at), name)
  redis.call('HSET', T..':l:'..name, 'look', ms(at))
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
    if L.moves then reindex(L) end
    L.touched, L.moves, L.queued, L.set = nil, nil, nil, {}
  end
  touched = {}
  for L, since in pairs(awaited) do
    if not L.oldest_report or since < L.oldest_report then
      redis.call('ZADD', OLDEST, ms(since), L.name)
      redis.call('HSET', T..':l:'..L.name, 'old', ms(since))
    end
    -- A moment later, so that one look serves those that go together; not while somebody looks for the others.
    local soon = math.max(now + FIRST_REPORT, L.reports_locked)
    if not L.report_look or soon < L.report_look then plan_report_look(L.name, soon) end
  end
  for state, by in pairs(moved) do
    if by ~= 0 then redis.call('HINCRBY', COUNTS, state, by) end
  end
  moved = {}
  if seq then redis.call('SET', SEQ, ms(seq)) end
  if clock then redis.call(unpack(clock)) end
end

-- moves ------------------------------------------------------------------------------------------------------------

local function due_of(m) return math.max(m.created, m.send_at) end

-- Behind others it changes nothing of the lane's place: that was right before.
local function enqueue_back(m)
  local length = redis.call('RPUSH', queue_of(m.lane, m.prio), m.id .. struct.pack('>I8', due_of(m)))
  count(READY, 1)
  if length == 1 then
    local L = lane_of(m.lane)
    L.queued = true
    touch(L)
  end
end

local function enqueue_front(L, m)
  L.queued = true
  redis.call('LPUSH', queue_of(L.name, m.prio), m.id .. struct.pack('>I8', due_of(m)))
  count(READY, 1)
end

-- SEND-SAFETY: of the messages between one sender and one recipient only one is in flight or of unknown fate, so that what
-- the provider's message store shows can be told apart.
local function pair_of(m) return m.from .. '\0' .. m.to end

local function others_of_pair(m)
  local ids, known = {}, redis.call('HGET', PAIR, pair_of(m)) or ''
  for at = 1, #known, 16 do
    local id = string.sub(known, at, at + 15)
    if id ~= m.id then ids[#ids + 1] = id end
  end
  return ids
end

-- A message that is neither in flight nor of unknown fate any more holds no pair, whatever stands there.
local function holds_pair(id)
  if redis.call('HEXISTS', F, id) == 1 then return true end
  local other = read_message(id)
  return other and other.state == UNKNOWN
end

local function take_pair(m) redis.call('HSET', PAIR, pair_of(m), table.concat(others_of_pair(m)) .. m.id) end

-- Late evidence may have found a second holder: that one keeps it.
local function free_pair(m)
  local others = others_of_pair(m)
  if #others > 0 then
    redis.call('HSET', PAIR, pair_of(m), table.concat(others))
  else
    redis.call('HDEL', PAIR, pair_of(m))
  end
end

-- SEND-SAFETY: nothing is sent to a number that has opted out of its sender's texts. A fleet without opt-outs pays for one
-- look a script, not for one a message.
local any_out
local function is_out(extension, from, to)
  if any_out == nil then any_out = redis.call('EXISTS', OUT) == 1 end
  if not any_out then return false end
  local own, all = extension..'\0', '\0'
  local found = redis.call('ZMSCORE', OUT, own..from..'\0'..to, own..'*\0'..to, all..from..'\0'..to, all..'*\0'..to)
  return (found[1] or found[2] or found[3] or found[4]) and true or false
end
local function extension_of(m) return string.match(m.lane, '^[^/]+/([^/]+)/') end
local function opted_out(m) return is_out(extension_of(m), m.from, m.to) end

-- An empty extension is every one.
local function opt_out(extension, from, to)
  local name = extension..'\0'..from..'\0'..to
  if not redis.call('ZSCORE', OUT, name) then redis.call('ZADD', OUT, ms(next_token()), name) end
end

-- A record that is no message must not stop the others. It is kept aside for a person, and counts as dead.
local function put_aside(id, blob, was)
  redis.call('HSET', T..':junk', id, blob)
  redis.call('HDEL', M, id)
  count(was, -1)
  count(DEAD, 1)
end

-- Takes a message out of its worker's hand.
local function leave_flight(L, m, f)
  free_pair(m)
  redis.call('HDEL', F, m.id)
  redis.call('ZREM', LEASE, m.id)
  count(f.state, -1)
  in_flight(L, -1)
  if f.state == SENDING then sending(L, -1) end
end

local function note_of(m)
  local code, provider_id, at, token, intent, reads =
    string.match(m.note, '^([^|]*)|([^|]*)|(%d*)|(%d+)|?(%d*)|?(%d*)')
  return { code = code or '', provider_id = provider_id or '', token = tonumber(token), at = tonumber(at) or 0,
    intent = tonumber(intent) or 0, reads = tonumber(reads) or 0 }
end
local function token_of(m) return note_of(m).token end

local function write_note(m, code, provider_id, token, intent, reads, at)
  m.note = code .. '|' .. provider_id .. '|' .. ms(at or now) .. '|' .. ms(token)
  if intent and intent > 0 then m.note = m.note .. '|' .. ms(intent) .. '|' .. reads end
end

-- SEND-SAFETY: a text of the provider's message store proves the sending of one message only, so those that were counted
-- for one are remembered for as long as another's fate may be unknown.
local function credit(L, provider_id)
  local key = T..':k:'..L.name
  redis.call('ZADD', key, ms(now), provider_id)
  if L.unk == 0 then
    if L.cnt % 16 == 0 then redis.call('ZREMRANGEBYSCORE', key, '-inf', now - CREDIT_MS) end
    redis.call('PEXPIRE', key, CREDIT_MS)
  end
end

-- Whether the provider accepted it, whatever became of it since.
local function was_sent(m) return m.state == SENT or m.state == DELIVERED or m.state == DELIVERY_FAILED end

-- A token is made of its time: before that of its lease a text was certainly not sent, nor before the first intent.
local function await_report(L, m, provider_id, token, intent)
  local since = math.floor(token / 2048)
  if intent > 0 then since = math.min(since, intent) end
  redis.call('ZADD', T..':wait:'..L.name, ms(since), provider_id)
  redis.call('HSET', T..':waitid:'..L.name, provider_id, m.id)
  awaited[L] = math.min(awaited[L] or since, since)
end

-- Ends a message, or gives it to a person. `was` tells of a send whose fate is unknown; otherwise what the note tells stays.
local function close(m, state, code, provider_id, token, was)
  m.state = state
  was = was or note_of(m)
  write_note(m, code, provider_id, token, was.intent, was.reads)
  if state == SENT then m.text = '' end
  write_message(m)
  if m.send_by > 0 then redis.call('ZREM', EXP, m.id) end
  if state ~= HELD then redis.call('ZADD', FIN, ms(now), m.id) end
  if state == HELD or state == DEAD then redis.call('ZADD', T..':in:'..state, now, m.id) end
  count(state, 1)
  if state == SENT and provider_id ~= '' then
    local L = lane_of(m.lane)
    -- SEND-SAFETY: those whose report is waited for are remembered there, and credited when they wait no longer.
    if REPORT_WAIT > 0 then
      await_report(L, m, provider_id, token, was.intent)
    else
      credit(L, provider_id)
    end
  end
end

-- It waits again, at the head of its lane, and the story of `token` is closed.
local function wait_again(L, m, code, token)
  local was = note_of(m)
  m.state = READY
  -- The intent stays that of its first send: a text of that which shows up late is found as well.
  write_note(m, code, '', token, was.intent, 0)
  write_message(m)
  if m.send_by > 0 then redis.call('ZADD', EXP, m.send_by, m.id) end
  enqueue_front(L, m)
end

-- SEND-SAFETY: nobody knows whether the provider took it. Never back to a queue from here, unless its policy says so.
-- `intent` is the time before which it certainly was not sent. Returns the state.
local function fate_unknown(L, m, code, token, intent)
  local first = note_of(m).intent
  intent = math.max(first > 0 and math.min(first, intent) or intent, 1)
  local again = m.policy == RESEND and m.attempt + 1 < MOST_SENDS
  -- SEND-SAFETY: its policy would send it again, but its recipient has opted out since. Whether the first one arrived is asked.
  local never_again = again and opted_out(m)
  if again and not never_again then
    m.attempt = m.attempt + 1
    wait_again(L, m, 'resent', token)
    return READY
  elseif m.policy ~= RECONCILE and not never_again then
    close(m, HELD, code, '', token, { intent = intent, reads = 0 })
    return HELD
  end
  m.state = UNKNOWN
  write_note(m, code, '', token, intent, 0)
  write_message(m)
  if m.send_by > 0 then redis.call('ZREM', EXP, m.id) end
  take_pair(m)
  redis.call('ZADD', T..':u:'..L.name, now, m.id)
  redis.call('ZADD', T..':in:'..UNKNOWN, now, m.id)
  -- A moment later, so that one read serves those that come together; not while somebody reads for the others.
  local look, soon = tonumber(redis.call('ZSCORE', UNK, L.name)), math.max(now + 500, L.looked_at)
  if not look or look > soon then redis.call('ZADD', UNK, soon, L.name) end
  redis.call('PERSIST', T..':k:'..L.name)
  L.unk = L.unk + 1
  put(L, 'unk', L.unk)
  count(UNKNOWN, 1)
  return UNKNOWN
end

-- Nobody reads for the lane any more.
local function unlock(L)
  L.looked_at = 0
  put(L, 'lck', 0)
end

-- Its fate is known, or it is given to a person.
local function leave_unknown(L, m)
  free_pair(m)
  redis.call('ZREM', T..':u:'..L.name, m.id)
  redis.call('ZREM', T..':in:'..UNKNOWN, m.id)
  L.unk = L.unk - 1
  put(L, 'unk', L.unk)
  count(UNKNOWN, -1)
  if L.unk <= 0 then
    unlock(L)
    redis.call('ZREM', UNK, L.name)
    redis.call('PEXPIRE', T..':k:'..L.name, CREDIT_MS)
  end
end

-- Takes a waiting message out of the schedule, or leaves its entry in the queue as a shadow until its turn; taking that out
-- would cost a walk through the list.
local function stop_waiting(m)
  local scheduled = redis.call('ZREM', SCHED, m.id) == 1
  count(scheduled and SCHEDULED or READY, -1)
end

-- Where a message really is: waiting ones are told apart by where they stand.
local function state_now(m)
  if m.state ~= READY then return m.state end
  local f = read_flight(m.id)
  if f then return f.state end
  return redis.call('ZSCORE', SCHED, m.id) and SCHEDULED or READY
end

-- The document goes, and its removal is remembered for those who have a copy.
local function forget_doc(kind, key, rev)
  redis.call('HDEL', T..':doc:'..kind, key)
  redis.call('ZADD', T..':docrev:'..kind, ms(rev), key)
  redis.call('ZREM', DOC_ENDS, kind..'/'..key)
  redis.call('ZADD', DOC_GONE, ms(rev), kind..'/'..key)
end

local function forget_report(L, provider_id)
  credit(L, provider_id)
  redis.call('ZREM', T..':wait:'..L.name, provider_id)
  redis.call('HDEL', T..':waitid:'..L.name, provider_id)
end

-- After some of a lane's reports are no longer waited for.
local function index_reports(L)
  local lane, first = T..':l:'..L.name, redis.call('ZRANGE', T..':wait:'..L.name, 0, 0, 'WITHSCORES')[2]
  L.oldest_report = first and tonumber(first)
  if first then
    redis.call('ZADD', OLDEST, first, L.name)
    redis.call('HSET', lane, 'old', first)
  else
    L.report_look = nil
    redis.call('ZREM', OLDEST, L.name)
    redis.call('ZREM', LOOK, L.name)
    redis.call('HDEL', lane, 'old', 'look')
  end
end

-- Workers that are there: name -> when last seen, and the incarnation they have told their sends to.
local WORKERS = T..':workers'

-- Notices that another server, or the same one after a restart, holds the data: its last moments may be lost.
-- SEND-SAFETY: in the same step the fleet's gate closes, until every worker that was there has told what it has sent (see
-- watch), or has stayed away for the patience of rule[10]; nothing that a lost moment made ready again is given out before.
-- Returns how often that has happened.
local function incarnation()
  local id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  local known = redis.call('HMGET', T..':inc', 'id', 'n')
  local n = tonumber(known[2]) or 0
  if known[1] ~= id then
    -- A time, not a count: a store that has lost the last count would give it out again.
    n = math.max(n + 1, now)
    -- Beside a penalty of the provider's, which goes on behind it.
    redis.call('HSET', GATE, 'lost', ms(now + rule[10]))
    redis.call('HSET', T..':inc', 'id', id, 'n', n, 'at', ms(now))
  end
  return n
end

-- The gate: nil when open, else the time at which to ask again (IN_USE for a stop without an end).
local function gate_until()
  local g = redis.call('HMGET', GATE, 'stop', 'until', 'lost')
  if g[1] then return IN_USE end
  local until_ms = math.max(tonumber(g[2]) or 0, tonumber(g[3]) or 0)
  if until_ms > now then return until_ms end
  return nil
end
