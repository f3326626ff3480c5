-- Every script that changes anything ends with `save`.

-- A queue that was empty brings its lane to the index, and so does what comes to its head.
local function flush_side(side, command)
  for _, queue in ipairs(side) do
    local P = side[queue]
    local entries = P.entries
    local reply = redis.pcall(command, queue, unpack(entries))
    if type(reply) == 'table' and not match(reply.err, 'WRONGTYPE') then
      call(command, queue, unpack(entries)) -- fails again, and ends the script
    elseif type(reply) == 'table' then
      -- A key of another kind: its messages come again in a minute, for as long as it takes, and the others go on.
      for _, entry in ipairs(entries) do set(SCHED, sub(entry, 1, 16), ms(now + 60000)) end
      count(READY, -#entries)
      count(SCHEDULED, #entries)
      local L = lane_of(P.lane)
      unreadable_key(L, 'queue')
      -- SEND-SAFETY: one of them that is sent again sleeps on: see has_sleepers.
      if L.again then call('ZADD', ASLEEP, 'GT', ms(now + 60000), L.name) end
      touch(L)
    elseif command == 'LPUSH' or reply == #entries then
      local L = lane_of(P.lane)
      mark_queue(L, P.prio, true)
      L.queued = true
      touch(L)
    end
  end
end

local function flush_pushes()
  flush_side(pushes[1], 'LPUSH')
  flush_side(pushes[2], 'RPUSH')
  pushes = { {}, {} }
end

-- Whether a message that is sent again is put off, and has not come to its queue yet.
-- SEND-SAFETY: its due time alone does not tell: while nobody claims, it may be over for hours. Messages leave the schedule in the
-- order of their due times, so none sleeps any more once the first that is left there is due later.
local function has_sleepers(L)
  local due = tonumber(call('ZSCORE', ASLEEP, L.name))
  if not due then return false end
  -- What this script puts off is not in the schedule before `save` has ended.
  if due > now then return true end
  local first = tonumber(call('ZRANGE', SCHED.key, 0, 0, 'WITHSCORES')[2])
  if first and first <= due then return true end
  call('ZREM', ASLEEP, L.name)
  return false
end

local function save_lanes()
  local waiting, placed = {}, {}
  for i = 1, #touched do
    local L = touched[i]
    if L.shadows then drop_shadows(L) end
    if L.moves and not L.queued and L.queues == ANY_QUEUE then waiting[#waiting + 1] = L.name end
    if L.moves and not L.turn then placed[#placed + 1] = L.name end
  end
  fetch(DUE, waiting)
  fetch(READYZ, placed)
  for i = 1, #touched do
    local L = touched[i]
    if L.moves then reindex(L) end
    if L.again and L.queues == 0 and L.inf == 0 and L.unk == 0 then L.again = has_sleepers(L) end
    set(LANES, L.name, pack_lane(L))
    L.touched, L.moves, L.queued = false, false, false
  end
  touched = {}
end

local function save_reports()
  for L, since in pairs(awaited) do
    if not L.oldest_report or since < L.oldest_report then
      call('ZADD', OLDEST, ms(since), L.name)
      L.oldest_report = since
      keep(L)
    end
    -- A moment later, so that one look serves those that go together; not while somebody looks for the others.
    local soon = max(now + FIRST_REPORT, L.reports_locked)
    if not L.report_look or soon < L.report_look then plan_report_look(L, soon) end
  end
  awaited = {}
end

-- Writes what changed: the queues, the lanes and their place, then all that is kept back, then the counts.
local function save()
  flush_pushes()
  save_reports()
  save_lanes()
  for _, K in ipairs(all_kept) do
    if K.changes > 0 then flush(K) end
  end
  for state, by in pairs(moved) do
    if by ~= 0 then call('HINCRBY', COUNTS, state, by) end
  end
  moved = {}
  if seq then call('SET', SEQ, ms(seq)) end
  if clock then call(unpack(clock)) end
end

