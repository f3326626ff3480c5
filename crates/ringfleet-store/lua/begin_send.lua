-- begin_send: writes the intent, the last step before a POST.
-- ARGV     3 lease in ms, then id, token of each
-- returns  one integer each: 1 go, 2 lease lost, 3 expired, 4 put back, 5 suppressed
-- invariant: once this says go, the message never returns to a queue unless its fate is known.

local lease_ms = tonumber(ARGV[3])
local answers = {}
local gate = gate_until()
for i = 4, #ARGV, 2 do
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
    else
      -- SEND-SAFETY: the intent. From here on a dead worker's message is "unknown", never "ready".
      f.state, f.since = SENDING, now
      write_flight(id, f)
      redis.call('ZADD', LEASE, now + lease_ms, id)
      count(CLAIMED, -1)
      count(SENDING, 1)
      answer = 1
    end
  end
  answers[#answers + 1] = answer
end
save()
return answers
