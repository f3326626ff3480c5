-- view: reads, changes nothing.
-- ARGV     3 what, then: message id · list state limit places since [at id], of the last one that was looked at ·
--          waiting lane part place skip places · lane name · lanes limit · spread every limit · soon ms skip limit ·
--          sessions extension ... · stats · gate · now
-- returns  message: { blob, state now } or {};  list: { 1 = there may be more, at, id of the last one that was
--          looked at, at, id, blob, ... };  lane(s): see lane_row
--          waiting: { places looked at, time of the last one, how many have it, blob, id, state, ... }: see waiting.rs
--          soon: { messages looked at, lane, ms when its first one is due, ... };
--          sessions: { generation, ms it lives, ms until it is renewed, 1 = somebody renews it, refused credentials } each
--          stats: { now, lanes ready (none while the gate is closed), lanes waiting, oldest due ('' = none), state, count, ... };  gate: {} = open, or { stop, until, reason }

local what = ARGV[3]

local function lane_row(name)
  local L = lane_of(name)
  local waiting = 0
  for prio = 0, 2 do
    local length = redis.pcall('LLEN', queue_of(L.name, prio))
    if type(length) == 'number' then waiting = waiting + length end
  end
  local used = tonumber(redis.pcall('ZCOUNT', L.slots, AFTER_NOW, '+inf')) or 0
  local due = get(DUE, name)
  return { name, waiting, L.inf, used, L.lim, L.win, L.paused and 1 or 0, L.parked or '',
    L.pen > now and ms(L.pen) or '', due and ms(due) or '' }
end

-- The rank, counted from the last one, of the first member behind (at, id), which need not stand there any more. Those of one
-- instant stand in the order of their bytes; Lua's own order of strings may be another.
local function rank_behind(key, at, id)
  local low = call('ZCOUNT', key, '(' .. at, '+inf')
  local high = low + call('ZCOUNT', key, at, at)
  local a, b, c = unpack_of('>I6I6I4', id)
  while low < high do
    local middle = floor((low + high) / 2)
    local x, y, z = unpack_of('>I6I6I4', call('ZREVRANGE', key, middle, middle)[1])
    if x < a or x == a and (y < b or y == b and z < c) then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

if what == 'message' then
  local m = read_message(ARGV[4])
  if not m then return {} end
  return { m.blob, state_now(m) }
elseif what == 'list' then
  local state, limit, places, since, id = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[9]
  local key = (state == HELD or state == DEAD or state == UNKNOWN) and T..':in:'..state or FIN.key
  local first = id and rank_behind(key, ARGV[8], id) or 0
  local ranked = call('ZREVRANGE', key, first, first + places - 1, 'WITHSCORES')
  local ids = {}
  for i = 1, #ranked, 2 do ids[#ids + 1] = ranked[i] end
  fetch(M, ids)
  local out = { #ids == places and 1 or 0, '', '' }
  for i, id in ipairs(ids) do
    local at = ranked[2 * i]
    if tonumber(at) < since then
      out[1] = 0
      break
    end
    out[2], out[3] = at, id
    local blob = get(M, id)
    if blob and byte(blob) == state and read_message(id) then
      out[#out + 1] = at
      out[#out + 1] = id
      out[#out + 1] = blob
      limit = limit - 1
      if limit == 0 then
        out[1] = 1
        break
      end
    end
  end
  return out
elseif what == 'waiting' then
  local name, part, at, skip, places = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
  local scheduled = part == 3
  local ids, last, same = {}, '0', 0
  if scheduled then
    local found = call('ZRANGEBYSCORE', SCHED.key, ms(at), '+inf', 'WITHSCORES', 'LIMIT', skip, places)
    for i = 1, #found, 2 do
      ids[#ids + 1] = found[i]
      same = found[i + 1] == last and same + 1 or 1
      last = found[i + 1]
    end
  else
    local found = redis.pcall('LRANGE', queue_of(name, part), at, at + places - 1)
    -- A key of another kind: see oldest_due.
    if found.err then return { 0, last, same } end
    for i, entry in ipairs(found) do ids[i] = sub(entry, 1, 16) end
  end
  fetch(M, ids)
  fetch(F, ids)
  fetch(SCHED, ids)
  local out = { #ids, ms(tonumber(last)), same }
  for _, id in ipairs(ids) do
    local m = read_message(id)
    local here = m and m.state == READY and m.lane == name and not get(F, id)
    if here and (get(SCHED, id) and true or false) == scheduled then
      out[#out + 1] = m.blob
      out[#out + 1] = id
      out[#out + 1] = scheduled and SCHEDULED or READY
    end
  end
  return out
elseif what == 'lane' then
  return { lane_row(ARGV[4]) }
elseif what == 'lanes' then
  local out = {}
  for _, name in ipairs(call('ZRANGE', DUE.key, 0, tonumber(ARGV[4]) - 1)) do out[#out + 1] = lane_row(name) end
  return out
elseif what == 'spread' then
  local every, out = tonumber(ARGV[4]), {}
  -- From the middle of the first ones on: those that stand are the oldest, and are counted neither too often nor too seldom.
  for rank = floor(every / 2), call('ZCARD', DUE.key) - 1, every do
    if #out >= tonumber(ARGV[5]) then break end
    out[#out + 1] = lane_row(call('ZRANGE', DUE.key, rank, rank)[1])
  end
  return out
elseif what == 'soon' then
  local limit = tonumber(ARGV[6])
  local found = call('ZRANGEBYSCORE', SCHED.key, '(' .. ms(now), ms(now + tonumber(ARGV[4])), 'WITHSCORES', 'LIMIT',
    tonumber(ARGV[5]), limit)
  local out, seen = { #found / 2 }, {}
  for i = 1, #found, 2 do
    local m = read_message(found[i])
    if m and not seen[m.lane] then
      seen[m.lane] = true
      out[#out + 1] = m.lane
      out[#out + 1] = ms(tonumber(found[i + 1]))
    end
  end
  return out
elseif what == 'sessions' then
  local out = {}
  for i = 4, #ARGV do
    local v = call('HMGET', T..':tok:'..ARGV[i], 'gen', 'exp', 'ren', 'who', 'lock', 'dead')
    local expires, lock = tonumber(v[2]) or 0, tonumber(v[5]) or 0
    local renew_at = tonumber(v[3]) or expires
    out[#out + 1] = { v[1] or '0', ms(max(0, expires - now)), ms(max(0, renew_at - now)),
      v[4] and lock > now and 1 or 0, v[6] or '' }
  end
  return out
elseif what == 'now' then
  return ms(now)
elseif what == 'gate' then
  local g = call('HMGET', GATE, 'stop', 'reason', 'until', 'why', 'lost')
  if g[1] then return { g[1], '', g[2] or '' } end
  if not gate_until() then return {} end
  local lost = restarted_until(g[5])
  if lost > (tonumber(g[3]) or 0) then return { '', ms(lost), 'store-restarted' } end
  return { '', g[3], g[4] or '' }
end

local first = call('ZRANGE', DUE.key, 0, 0, 'WITHSCORES')[2]
local overdue = call('ZRANGEBYSCORE', SCHED.key, '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1)[2]
if overdue and (not first or tonumber(overdue) < tonumber(first)) then first = overdue end
local ready = gate_until() and 0 or call('ZCOUNT', READYZ.key, '-inf', now)
local out = { ms(now), ready, call('ZCARD', DUE.key), first and ms(first) or '' }
for _, field in ipairs(call('HGETALL', COUNTS)) do out[#out + 1] = tonumber(field) end
return out
