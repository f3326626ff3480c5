-- claim: leases due messages of lanes that may send now, and takes a slot of the window for each.
-- ARGV     3 worker, 4 how many at most (<= 128), 5 lease in ms
-- returns  { ms until something may be due ('' = nothing known), then of each lease: id, token, blob }
-- bounded: 256 promotions; at most `n` lanes, and at most 32 dead entries (cancelled, expired) of each a pass.

local worker, want, lease_ms = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local out = { '' }

-- Promote what has become due; in order of due time, then id.
local due = redis.call('ZRANGEBYSCORE', SCHED, '-inf', now, 'LIMIT', 0, 256)
for _, id in ipairs(due) do
  redis.call('ZREM', SCHED, id)
  count(SCHEDULED, -1)
  local m = read_message(id)
  if m then
    local L = lane_of(m.lane)
    enqueue_back(L, m)
    touch(L)
  end
end
if #due > 0 then
  save()
  moved, touched = {}, {}
  for _, L in pairs(lanes) do L.touched, L.set = nil, {} end
end

local gate = gate_until()
if gate then
  if gate < IN_USE then out[1] = ms(gate - now) end
  return out
end

-- Takes the lane's next living message, or nil.
local function pop(L)
  for prio = 0, 2 do
    for _ = 1, 32 do
      local entry = redis.call('LPOP', queue_of(L, prio))
      if not entry then break end
      local m = read_message(string.sub(entry, 1, 16))
      -- An entry whose message was cancelled or expired meanwhile is only its shadow.
      -- SEND-SAFETY: a shadow outlives its message; when that comes back under the same key, two entries may name one
      -- message, so one that is in a worker's hand is never handed out again, nor one before its time, nor one that
      -- now belongs to another lane.
      if m and m.state == READY and m.lane == L.name and redis.call('HEXISTS', F, m.id) == 0
        and not redis.call('ZSCORE', SCHED, m.id) then
        count(READY, -1)
        if m.send_by > 0 and now > m.send_by then
          close(m, EXPIRED, 'send-by-passed', '', 0)
        else
          return m
        end
      end
    end
  end
  return nil
end

local turn, got = {}, 0
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
      redis.call('ZADD', LEASE, now + lease_ms, m.id)
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
