-- begin_send: writes the intent, the last step before a POST.
-- ARGV     3 lease in ms, then of each id, token, generation of the session that it is to be sent with (0 = any)
-- returns  one integer each: 1 go, 2 lease lost, 3 expired, 4 put back, 5 suppressed, 6 its session is over
-- invariant: once this says go, the message never returns to a queue unless its fate is known.

local lease_ms = tonumber(ARGV[3])
local answers, lease_end = {}, ms(now + lease_ms)
local gate = gate_until()

-- A refresh kills the token before it at once: nothing is begun with one that was replaced, or whose renewal has begun.
local sessions = {}
local function session_is_over(L, generation)
  if generation == 0 then return false end
  local extension = string.match(L.name, '^[^/]+/([^/]+)/')
  local s = sessions[extension] or redis.call('HMGET', T..':tok:'..extension, 'gen', 'who', 'lock')
  sessions[extension] = s
  local newest = tonumber(s[1]) or 0
  return generation < newest or (generation == newest and s[2] and (tonumber(s[3]) or 0) > now)
end

for i = 4, #ARGV, 3 do
  local id, token = ARGV[i], tonumber(ARGV[i + 1])
  local f = read_flight(id)
  local ends = f and tonumber(redis.call('ZSCORE', LEASE, id))
  local answer
  -- SEND-SAFETY: the fence. A lease that ended, even if nobody has reaped it yet, permits nothing: another worker may
  -- hold the message before this one's POST leaves.
  if not f or f.token ~= token or not ends or ends <= now then
    answer = 2
  elseif f.state == SENDING then
    -- The same worker asks again because the reply was lost; it posts only once it has read one.
    answer = 1
  else
    local m = read_message(id)
    local L = lane_of(m.lane)
    if m.send_by > 0 and now > m.send_by then
      leave_flight(L, m, f)
      drop_slot(L, token)
      close(m, EXPIRED, 'send-by-passed', '', token)
      touch(L)
      answer = 3
    elseif opted_out(m) then
      -- SEND-SAFETY: in the same step as the intent, so that an opt-out counts that came after the claim.
      leave_flight(L, m, f)
      drop_slot(L, token)
      close(m, SUPPRESSED, 'opted-out', '', token)
      touch(L)
      answer = 5
    elseif gate or L.paused or L.parked or L.pen > now then
      leave_flight(L, m, f)
      drop_slot(L, token)
      enqueue_front(L, m)
      touch(L)
      answer = 4
    elseif session_is_over(L, tonumber(ARGV[i + 2])) then
      -- It stays claimed: its worker asks for the newest session, and then once more.
      answer = 6
    else
      -- SEND-SAFETY: the intent. From here on a dead worker's message is "unknown", never "ready".
      f.state, f.since = SENDING, now
      write_flight(id, f)
      redis.call('ZADD', LEASE, lease_end, id)
      count(CLAIMED, -1)
      count(SENDING, 1)
      sending(L, 1)
      keep(L)
      answer = 1
    end
  end
  answers[#answers + 1] = answer
end
save()
return answers
