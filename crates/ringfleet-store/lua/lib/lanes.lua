-- Lanes: what is known of each, its window, and its place in the index.

-- Flags (1 paused, 2 probing, then 4, 8, 16 for the priorities whose queue may hold something, 32 for messages that wait to be
-- sent again: see credit), then numbers of 8 bytes, then the reason for which it is parked ('' = it is not). A plan of 0 was
-- never told: each caller takes its own.
local LANE = '>BI8I8I8I8I8I8I8I8I8I8I8I8'
local lanes, touched = {}, {}

local NEW_LANE = pack(LANE, ANY_QUEUE * 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)

local function parse_lane(name, raw)
  local flags, pen, inf, own_lim, own_win, cnt, seen, unk, looked_at, reports_locked, report_look, oldest_report, ttl_set, at =
    unpack_of(LANE, raw)
  local d = DEFAULT[match(name, '(%l+)$', -6)]
  return {
    name = name, slots = T..':s:'..name, paused = flags % 2 == 1, probe = flags % 4 >= 2, queues = floor(flags / 4) % 8,
    again = flags >= 32,
    pen = pen, inf = inf, own_lim = own_lim, own_win = own_win, lim = own_lim > 0 and own_lim or rule[d],
    win = own_win > 0 and own_win or rule[d + 1], cnt = cnt, seen = seen, unk = unk, looked_at = looked_at,
    reports_locked = reports_locked, report_look = report_look > 0 and report_look or nil,
    oldest_report = oldest_report > 0 and oldest_report or nil, ttl_set = ttl_set,
    parked = at <= #raw and sub(raw, at) or nil,
    -- Of this script: slots in use, whether it is to be saved and what of it (see touch), whether more of its window is taken.
    used = nil, touched = false, moves = false, turn = false, queued = false, shadows = false, fuller = false, dead = 0,
    -- Something else stands where its slots should be.
    foreign = false,
  }
end

local function pack_lane(L)
  return pack(LANE, (L.paused and 1 or 0) + (L.probe and 2 or 0) + L.queues * 4 + (L.again and 32 or 0), L.pen, L.inf, L.own_lim, L.own_win,
    L.cnt, L.seen, L.unk, L.looked_at, L.reports_locked, L.report_look or 0, L.oldest_report or 0, L.ttl_set)
    .. (L.parked or '')
end

-- The other lanes' requests are logins and reads: no person lets them go on, and `parked` says something else of logins.
local function has_messages(name) return sub(name, -7) == '/medium' end

local function lane_of(name)
  local L = lanes[name]
  if L then return L end
  local readable
  readable, L = pcall(parse_lane, name, get(LANES, name) or NEW_LANE)
  -- It stops its lane, and no other. What stands elsewhere is not lost with it.
  if not readable then
    L = parse_lane(name, NEW_LANE .. (has_messages(name) and 'unreadable-lane' or ''))
    -- Nor does what may be there instead of these.
    local inf, unk = redis.pcall('ZCOUNT', L.slots, IN_USE_TEXT, IN_USE_TEXT), redis.pcall('ZCARD', T..':u:'..name)
    L.inf, L.unk = tonumber(inf) or 0, tonumber(unk) or 0
  end
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

local function in_flight(L, by) L.inf = max(0, L.inf + by) end

-- SEND-SAFETY: (of the plan) whether the lane is paused or parked, or waits for the end of a penalty: all that `begin_send` asks
-- of it, without taking it apart. A parked one's record is longer, an unreadable one's shorter.
local function stands(name)
  local raw = get(LANES, name) or NEW_LANE
  if #raw ~= #NEW_LANE then return true end
  local flags, pen = unpack_of('>BI8', raw)
  return flags % 2 == 1 or pen > now
end

-- POSTs under way, for which a renewal of the extension's token waits.
local function posts_of(name) return tonumber(get(POSTS, name)) or 0 end
local function posting(name, by)
  local posts = posts_of(name) + by
  set(POSTS, name, posts > 0 and ms(posts))
end

-- What is kept of the session of a lane's extension: see `token`.
local function session_of(name) return T..':tok:'..match(name, '^[^/]+/([^/]+)/') end

-- A key of another kind where the lane's queue or window should be: for a person.
local function unreadable_key(L, what)
  L.parked = 'unreadable-' .. what
  call('HSET', T..':junk', what .. ' of ' .. L.name, '')
end

-- One command on the lane's slots. A key of another kind there stops this lane, and no other: nil is answered.
local function on_slots(L, command, ...)
  local reply = redis.pcall(command, L.slots, ...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if not match(reply.err, 'WRONGTYPE') then return call(command, L.slots, ...) end -- fails again, and ends the script
  L.foreign = true
  if has_messages(L.name) then unreadable_key(L, 'window') end
  return nil
end

local QUEUES, PRIO = T..':q:', { [0] = ':0', ':1', ':2' }
local function queue_of(lane, prio) return QUEUES..lane..PRIO[prio] end
-- The window, and a margin for the server's own rounding (0.1 %, at least 2 ms).
local function hold_of(L) return L.win + max(2, floor(L.win / 1000)) end

-- Slots whose time is over may still stand there: see take_slot. A window that can't be read is full.
local function slots_in_use(L) return on_slots(L, 'ZCOUNT', AFTER_NOW, '+inf') or L.lim end

-- The first instant at which the window has a place. `claim` has counted already.
local function window_free_at(L)
  L.used = L.used or slots_in_use(L)
  if L.used < L.lim then return now end
  local last = on_slots(L, 'ZRANGEBYSCORE', AFTER_NOW, '+inf', 'WITHSCORES', 'LIMIT', L.used - L.lim, 1)
  return last and tonumber(last[2]) or now + 60000
end

-- A penalty is followed by one probe alone; full speed comes back with its answer.
local function cap_of(L) if L.probe then return 1 end return CAP end

-- SEND-SAFETY: a token is made of the time as well as of the one before, so that a store which has lost its last second
-- never gives a token out twice: a report of the lost second would pass for one of the new lease.
local seq
local function next_token()
  seq = max((seq or tonumber(call('GET', SEQ)) or 0) + 1, now * TOKENS_A_MS)
  return seq
end

-- SEND-SAFETY: (of the plan) an older deadline of the key must not take a slot away that is in use. It is put off where the key
-- may be new and has none, and else each quarter of an hour: an older version of this program set it to an hour.
local function put_off_ttl(L)
  if L.foreign then return end
  if L.used and L.used > 0 and now - L.ttl_set < 900000 then return end
  call('PEXPIRE', L.slots, ms(hold_of(L) + SLOTS_KEPT))
  L.ttl_set = now
end

-- Takes a slot. It counts as in use until the request is settled, however long that takes.
local function take_slot(L)
  local token = next_token()
  local name = ms(token)
  on_slots(L, 'ZADD', IN_USE_TEXT, name)
  put_off_ttl(L)
  L.cnt, L.fuller = L.cnt + 1, true
  if L.used then L.used = L.used + 1 end
  if L.cnt % 8 == 0 then on_slots(L, 'ZREMRANGEBYSCORE', '-inf', NOW) end
  return token, name
end

-- SEND-SAFETY: (of the plan) a slot is free one window after its response was read: the server saw the request no
-- later than that, so the slot's next request can't be one too many. now + 1 because `now` was rounded down.
local function time_slot(L, token, age)
  L.used = nil
  -- It may be gone, and its key too: then its window has one more now.
  if on_slots(L, 'ZADD', ms(now + 1 - age + hold_of(L)), ms(token)) == 1 then
    L.fuller = true
    put_off_ttl(L)
  end
  -- Its deadline may be over by now, unless the slot was taken lately.
  if now - floor(token / TOKENS_A_MS) > SLOTS_KEPT / 2 then put_off_ttl(L) end
end

-- A report that comes late may tell of a request that arrived after its slot was timed for a dead worker: the later counts.
local function retime_slot(L, token, age)
  L.used, L.fuller = nil, true
  on_slots(L, 'ZADD', 'GT', ms(now + 1 - age + hold_of(L)), ms(token))
  put_off_ttl(L)
end

-- A request that certainly was never made gives its slot back at once.
local function drop_slot(L, token)
  L.used = nil
  on_slots(L, 'ZREM', ms(token))
end

-- The plan that an answer's headers tell; documented limits lie between 1 and 1,000. It is kept also when it is the caller's own:
-- another process may be configured otherwise.
local function learn_plan(L, limit, window)
  if limit and limit > 0 then
    limit = min(limit, 1000)
    if limit ~= L.lim then L.lim, L.fuller = limit, true end
    L.own_lim = limit
  end
  if window and window > 0 and window ~= L.own_win then
    local first, before = L.own_win == 0, hold_of(L)
    L.win, L.own_win = window, window
    -- The slots already timed were counted by the old window.
    -- SEND-SAFETY: (of the plan) by whose, nobody knows before one was told: another process's may be shorter than the caller's.
    -- So the first that is told makes no slot free sooner.
    local by = hold_of(L) - before
    if first then by = max(0, by) end
    if by ~= 0 then
      L.used, L.fuller = nil, true
      local slots = on_slots(L, 'ZRANGEBYSCORE', '-inf', '(' .. IN_USE_TEXT, 'LIMIT', 0, 3000) or {}
      for _, token in ipairs(slots) do on_slots(L, 'ZINCRBY', by, token) end
      put_off_ttl(L)
    end
  end
end

-- The priorities whose queue may hold something, by the bits of `queues`, highest first.
local FILLED = { [0] = {}, { 0 }, { 1 }, { 0, 1 }, { 2 }, { 0, 2 }, { 1, 2 }, { 0, 1, 2 } }

-- Says that a queue of the lane holds something, or that nothing is there.
local function mark_queue(L, prio, filled)
  local bit = prio == 0 and 1 or prio * 2
  if (L.queues % (2 * bit) >= bit) ~= filled then L.queues = L.queues + (filled and bit or -bit) end
end

-- The first entry of a queue, false when there is none, a table when it can't be read. What is no entry is kept aside for a person.
local function head_of(L, prio)
  local queue = queue_of(L.name, prio)
  for _ = 1, 32 do
    local head = redis.pcall('LINDEX', queue, 0)
    if type(head) ~= 'string' or #head == 24 then return head end
    call('HSET', T..':junk', 'entry of ' .. L.name, head)
    call('LPOP', queue)
  end
  return {}
end

-- When the oldest message of the lane's queues became due, or nil. A key of another kind where a queue should be stops this
-- lane, and no other.
local function oldest_due(L)
  local oldest
  local filled = FILLED[L.queues]
  for i = 1, #filled do
    local prio = filled[i]
    local head = head_of(L, prio)
    if type(head) == 'table' then
      unreadable_key(L, 'queue')
      return nil
    elseif head then
      local due = unpack_of('>I8', head, 17)
      if not oldest or due < oldest then oldest = due end
    else
      mark_queue(L, prio, false)
    end
  end
  return oldest
end

-- Holds the lane invariant: in `ready` exactly when a message is due, the lane is neither paused nor parked, and
-- fewer than its cap are in flight; the score is the first instant at which it may send.
-- Unless the lane's queues have changed, what is due stands in `due` as it was last written, and any of the lane's bits says
-- that something does; but that all are set may only say that nobody has looked.
local function reindex(L)
  local oldest
  if L.queued then
    oldest = oldest_due(L)
  elseif L.queues == ANY_QUEUE then
    oldest = get(DUE, L.name)
  else
    oldest = L.queues > 0
  end
  if not oldest then
    unset(READYZ, L.name)
    unset(DUE, L.name)
    return
  end
  if L.queued then set(DUE, L.name, ms(oldest)) end
  if L.paused or L.parked or L.inf >= cap_of(L) then
    unset(READYZ, L.name)
    return
  end
  -- A lane that waits for its turn keeps its place.
  local place = not L.turn and tonumber(get(READYZ, L.name))
  local waits = place and place <= now
  if waits and not L.fuller and L.pen <= now then return end
  local at = max(L.pen, window_free_at(L))
  -- By this look.
  if L.foreign then
    unset(READYZ, L.name)
    return
  end
  if waits and at <= now then return end
  set(READYZ, L.name, ms(at))
end

