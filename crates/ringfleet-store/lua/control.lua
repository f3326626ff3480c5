-- control: an operator's hand on a lane, a message or the whole shard.
-- ARGV     3 what, then
--          pause lane 0|1 · park lane reason ('' lets it go on) · cancel id
--          gate open · gate stop reason · gate until ms reason
-- returns  pause, park, gate: 1;  cancel: { 1 done | 2 too late | 3 missing, state }

local what = ARGV[3]
local answer = 1
if what == 'pause' then
  local L = lane_of(ARGV[4])
  touch(L)
  L.paused = ARGV[5] == '1'
  put(L, 'pau', ARGV[5])
elseif what == 'park' then
  local L = lane_of(ARGV[4])
  touch(L)
  if ARGV[5] == '' then
    L.parked = nil
    redis.call('HDEL', T..':l:'..L.name, 'par')
    -- Whoever lets it go on says that the cause is gone, so a refused credential is tried again.
    redis.call('HDEL', T..':tok:'..string.match(L.name, '^[^/]+/([^/]+)/'), 'dead', 'why')
  else
    L.parked = ARGV[5]
    put(L, 'par', ARGV[5])
  end
elseif what == 'gate' then
  if ARGV[4] == 'open' then
    -- The kill switch only: a penalty of the provider goes on, whatever an operator wishes.
    redis.call('HDEL', GATE, 'stop', 'reason')
  elseif ARGV[4] == 'stop' then
    redis.call('HSET', GATE, 'stop', '1', 'reason', ARGV[5])
  else
    -- A penalty never shortens a longer one and never opens the kill switch; under it, it is remembered.
    if (tonumber(redis.call('HGET', GATE, 'until')) or 0) < tonumber(ARGV[5]) then
      redis.call('HSET', GATE, 'until', ARGV[5], 'why', ARGV[6])
    end
  end
elseif what == 'cancel' then
  local m = read_message(ARGV[4])
  if not m then
    answer = { 3, 0 }
  elseif m.state ~= READY then
    answer = { 2, m.state }
  else
    local f = read_flight(m.id)
    if f then
      answer = { 2, f.state }
    else
      local scheduled = redis.call('ZREM', SCHED, m.id) == 1
      count(scheduled and SCHEDULED or READY, -1)
      -- Its entry stays in the queue as a shadow until its turn; taking it out would cost a walk through the list.
      close(m, CANCELLED, 'cancelled', '', 0)
      answer = { 1, CANCELLED }
    end
  end
end
save()
if what ~= 'cancel' then redis.call('PUBLISH', T..':wake', '') end
return answer
