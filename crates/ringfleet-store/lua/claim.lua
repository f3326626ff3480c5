-- claim: leases due messages of lanes that may send now, and takes a slot of the window for each.
-- ARGV     3 worker, 4 how many at most (<= 128), 5 lease in ms, 6 number of this claim, 7 number of the first one
--          since whose answers were lost, or '0'
-- returns  { ms until something may be due ('' = nothing known), then of each lease: id, token, blob }
-- bounded: 256 promotions; at most `n` lanes, and at most 32 entries that can't go (cancelled, expired, its recipient is
-- busy) of each.

local worker, want, lease_ms = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local out = { '' }
local answered = T..':w:'..worker
incarnation()

local number, ids = match(call('GET', answered) or '', '^(%d+) (.*)$')
-- One that was held up on its way, and that nobody waits for any more: a later one was answered.
if number and tonumber(number) > tonumber(ARGV[6]) then return out end
if ARGV[7] ~= '0' then
  -- The same again: what that claim leased and nobody knows of.
  -- None of the claims since then can have been answered.
  if number and tonumber(number) >= tonumber(ARGV[7]) then
    for at = 1, #ids, 16 do
      local id = sub(ids, at, at + 15)
      local f, ends = read_flight(id), tonumber(get(LEASE, id))
      if f and f.worker == worker and f.state == CLAIMED and ends and ends > now and (#out - 1) / 3 < want then
        out[#out + 1] = id
        out[#out + 1] = ms(f.token)
        out[#out + 1] = get(M, id)
      end
    end
    if #out > 1 then
      out[1] = '0'
      -- As below: of the claims before this one some may come later.
      call('SET', answered, ARGV[6] .. ' ' .. ids, 'PX', lease_ms)
      save()
      return out
    end
  end
  -- Those whose answers were lost may be on their way still, and come after this one: what they leased then, nobody would hold.
  call('SET', answered, ARGV[6] .. ' ', 'PX', lease_ms)
end

-- Promote what has become due; in order of due time, then id.
local due = call('ZRANGEBYSCORE', SCHED.key, '-inf', NOW, 'LIMIT', 0, 256)
fetch(M, due)
for _, id in ipairs(due) do
  unset(SCHED, id)
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

-- SEND-SAFETY: see others_of_pair. A message whose recipient is busy with another one of this sender comes back a second
-- later, by deadline and not by a call, so that nothing can be forgotten. Those that wait keep their order.
local were_put_off = 0
local function busy(m)
  if not get(PAIR, m.pair) then return false end
  local held = false
  for _, id in ipairs(others_of_pair(m)) do held = held or holds_pair(id) end
  if not held then return false end
  were_put_off = were_put_off + 1
  put_off(m, now + 999 + were_put_off)
  return true
end

-- SEND-SAFETY: (of the plan) judged here once more, whatever the index says.
local function may_send(L)
  return L.used < L.lim and L.inf < cap_of(L) and L.pen <= now and not L.paused and not L.parked
end

-- Takes the first entry of the lane's queues, or nil. What it names is judged with those of the other lanes.
local function pop(L)
  L.queued = true
  local filled = FILLED[L.queues]
  for i = 1, #filled do
    local prio = filled[i]
    local entry = redis.pcall('LPOP', queue_of(L.name, prio))
    if type(entry) == 'string' then return sub(entry, 1, 16) end
    -- Not when it is a key of another kind: see oldest_due.
    if not entry then mark_queue(L, prio, false) end
  end
  return nil
end

-- The message of an entry if it may be leased.
local function living(L, id)
  local m, junk = read_message(id)
  if junk then put_aside(id, junk, READY) end
  if not waits_in(L, m) then return nil end
  count(READY, -1)
  if m.send_by > 0 and now > m.send_by then
    close_unsent(m, EXPIRED, 'send-by-passed')
    return nil
  end
  return not busy(m) and m or nil
end

local got, lease_end = 0, ms(now + lease_ms)
local function lease(L, m)
  local token, name = take_slot(L)
  in_flight(L, 1)
  set(F, m.id, pack(FLIGHT, CLAIMED, token, now, L.cnt, L.used, m.send_by, L.name) .. worker)
  set(LEASE, m.id, lease_end)
  set(PAIR, m.pair, m.id)
  out[#out + 1] = m.id
  out[#out + 1] = name
  out[#out + 1] = m.blob
  got = got + 1
end

local turn, names = {}, call('ZRANGEBYSCORE', READYZ.key, '-inf', NOW, 'LIMIT', 0, want)
fetch(LANES, names)
for i = 1, #names do
  local L = lane_of(names[i])
  touch(L, true)
  L.used = slots_in_use(L)
  turn[i] = L
end
-- Round after round each lane gives one, until enough are leased or no lane has any left that may go.
while got < want and #turn > 0 do
  local again, entries, ids = {}, {}, {}
  for i = 1, #turn do
    local L = turn[i]
    if #ids >= want - got then
      again[#again + 1] = L
    else
      local id = may_send(L) and pop(L)
      if id then
        entries[#entries + 1] = L
        ids[#ids + 1] = id
      end
    end
  end
  fetch(M, ids)
  fetch(F, ids)
  fetch(SCHED, ids)
  local between = {}
  for i = 1, #ids do
    local m = read_message(ids[i])
    if m then between[#between + 1] = m.pair end
  end
  fetch(PAIR, between)
  for i = 1, #entries do
    local L = entries[i]
    local m = living(L, ids[i])
    if m then lease(L, m) else L.dead = L.dead + 1 end
    if L.dead < 32 then again[#again + 1] = L end
  end
  turn = again
end
count(CLAIMED, got)
save()
if got > 0 then
  local ids = {}
  for at = 2, #out, 3 do ids[#ids + 1] = out[at] end
  call('SET', answered, ARGV[6] .. ' ' .. table.concat(ids), 'PX', lease_ms)
end

if got >= want then
  out[1] = '0'
else
  local next_at
  for _, K in ipairs({ READYZ, SCHED }) do
    local first = call('ZRANGE', K.key, 0, 0, 'WITHSCORES')[2]
    if first and (not next_at or tonumber(first) < next_at) then next_at = tonumber(first) end
  end
  if next_at and next_at < IN_USE then out[1] = ms(max(0, next_at - now)) end
end
return out
