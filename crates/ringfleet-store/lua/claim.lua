-- claim: leases due messages of lanes that may send now, and takes a slot of the window for each.
-- ARGV     3 worker, 4 how many at most (<= 128), 5 lease in ms, 6 number of this claim, 7 number of the first one
--          since whose answers were lost, or '0'
-- returns  { ms until something may be due ('' = nothing known), then of each lease: id, token, blob }
-- bounded: 256 promotions; at most `n` lanes, and at most 32 entries that can't go (cancelled, expired, its recipient is
-- busy) of each a pass.

local worker, want, lease_ms = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local out = { '' }
local answered = T..':w:'..worker
incarnation()

if ARGV[7] ~= '0' then
  -- The same again: what that claim leased and nobody knows of.
  local number, ids = string.match(redis.call('GET', answered) or '', '^(%d+) (.*)$')
  -- None of the claims since then can have been answered.
  if number and tonumber(number) >= tonumber(ARGV[7]) then
    for at = 1, #ids, 16 do
      local id = string.sub(ids, at, at + 15)
      local f, ends = read_flight(id), tonumber(redis.call('ZSCORE', LEASE, id))
      if f and f.worker == worker and f.state == CLAIMED and ends and ends > now and (#out - 1) / 3 < want then
        out[#out + 1] = id
        out[#out + 1] = ms(f.token)
        out[#out + 1] = redis.call('HGET', M, id)
      end
    end
    if #out > 1 then
      out[1] = '0'
      save()
      return out
    end
  end
end

-- Promote what has become due; in order of due time, then id.
local due = redis.call('ZRANGEBYSCORE', SCHED, '-inf', now, 'LIMIT', 0, 256)
for _, id in ipairs(due) do
  redis.call('ZREM', SCHED, id)
  local m, junk = read_message(id)
  if junk then
    put_aside(id, junk, SCHEDULED)
  else
    count(SCHEDULED, -1)
  end
  if m then enqueue_back(m) end
end
if #due > 0 then save() end

local gate = gate_until()
if gate then
  if gate < IN_USE then out[1] = ms(gate - now) end
  save()
  return out
end

-- SEND-SAFETY: see pair_of. A message whose recipient is busy with another one of this sender comes back a second later, by
-- deadline and not by a call, so that nothing can be forgotten. Those that wait keep their order.
local put_off = 0
local function busy(m)
  local held = false
  for _, id in ipairs(others_of_pair(m)) do held = held or holds_pair(id) end
  if not held then return false end
  put_off = put_off + 1
  redis.call('ZADD', SCHED, now + 999 + put_off, m.id)
  count(SCHEDULED, 1)
  return true
end

-- Takes the lane's next living message, or nil.
local function pop(L)
  for prio = 0, 2 do
    for _ = 1, 32 do
      local entry = redis.pcall('LPOP', queue_of(L.name, prio))
      L.queued = true
      if type(entry) ~= 'string' then break end -- empty, or a key of another kind: see reindex
      local m, junk = read_message(string.sub(entry, 1, 16))
      if junk then put_aside(string.sub(entry, 1, 16), junk, READY) end
      -- An entry whose message was cancelled or expired meanwhile is only its shadow.
      -- SEND-SAFETY: a shadow outlives its message; when that comes back under the same key, two entries may name one
      -- message, so one that is in a worker's hand is never handed out again, nor one before its time, nor one that
      -- now belongs to another lane.
      if m and m.state == READY and m.lane == L.name and redis.call('HEXISTS', F, m.id) == 0
        and not redis.call('ZSCORE', SCHED, m.id) then
        count(READY, -1)
        if m.send_by > 0 and now > m.send_by then
          close(m, EXPIRED, 'send-by-passed', '', 0)
        elseif not busy(m) then
          return m
        end
      end
    end
  end
  return nil
end

local turn, got, lease_end = {}, 0, ms(now + lease_ms)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', READYZ, '-inf', now, 'LIMIT', 0, want)) do
  local L = lane_of(name)
  touch(L, true)
  L.used = slots_in_use(L)
  turn[#turn + 1] = L
end
while got < want and #turn > 0 do
  local again = {}
  for _, L in ipairs(turn) do
    if got >= want then break end
    -- SEND-SAFETY: (of the plan) judged here once more, whatever the index says.
    local may = L.used < L.lim and L.inf < cap_of(L) and L.pen <= now and not L.paused and not L.parked
    local m = may and pop(L)
    if m then
      local token = take_slot(L)
      L.used = L.used + 1
      in_flight(L, 1)
      write_flight(m.id, { state = CLAIMED, token = token, since = now, cnt = L.cnt, used = L.used, worker = worker })
      redis.call('ZADD', LEASE, lease_end, m.id)
      redis.call('HSET', PAIR, pair_of(m), m.id)
      count(CLAIMED, 1)
      out[#out + 1] = m.id
      out[#out + 1] = ms(token)
      out[#out + 1] = m.blob
      got = got + 1
      again[#again + 1] = L
    end
  end
  turn = again
end
save()
if got > 0 then
  local ids = {}
  for at = 2, #out, 3 do ids[#ids + 1] = out[at] end
  redis.call('SET', answered, ARGV[6] .. ' ' .. table.concat(ids), 'PX', lease_ms)
end

if got >= want then
  out[1] = '0'
else
  local next_at
  for _, z in ipairs({ READYZ, SCHED }) do
    local first = redis.call('ZRANGE', z, 0, 0, 'WITHSCORES')[2]
    if first and (not next_at or tonumber(first) < next_at) then next_at = tonumber(first) end
  end
  if next_at and next_at < IN_USE then out[1] = ms(math.max(0, next_at - now)) end
end
return out
