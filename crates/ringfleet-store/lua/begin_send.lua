-- begin_send: writes the intent, the last step before a POST.
-- ARGV     3 lease in ms, then of each id, token, generation of the session that it is to be sent with (0 = any)
-- returns  one integer each: 1 go, 2 lease lost, 3 expired, 4 put back, 5 suppressed, 6 its session is over
-- invariant: once this says go, the message never returns to a queue unless its fate is known.

local lease_ms = tonumber(ARGV[3])
local answers, lease_end = {}, ms(now + lease_ms)
local gate = gate_until()
local ids = arguments(4, 3)
fetch(F, ids)
fetch(LEASE, ids)
local names = {}
for _, id in ipairs(ids) do
  local f = read_flight(id)
  if f then names[#names + 1] = f.lane end
end
fetch(LANES, names)

-- A refresh kills the token before it at once: nothing is begun with one that was replaced, or whose renewal has begun.
local sessions = {}
local function session_is_over(L, generation)
  if generation == 0 then return false end
  local extension = match(L.name, '^[^/]+/([^/]+)/')
  local s = sessions[extension] or call('HMGET', T..':tok:'..extension, 'gen', 'who', 'lock')
  sessions[extension] = s
  local newest = tonumber(s[1]) or 0
  return generation < newest or (generation == newest and s[2] and (tonumber(s[3]) or 0) > now)
end

-- No intent, so no POST: it ends here, and its slot was never used.
local function give_up(L, id, f, state, code)
  local m = read_message(id)
  leave_flight(L, m, f)
  drop_slot(L, f.token)
  close(m, state, code, '', f.token)
  touch(L)
end

for i = 4, #ARGV, 3 do
  local id, token = ARGV[i], tonumber(ARGV[i + 1])
  local f = read_flight(id)
  local ends = f and tonumber(get(LEASE, id))
  local answer
  -- SEND-SAFETY: the fence. A lease that ended, even if nobody has reaped it yet, permits nothing: another worker may
  -- hold the message before this one's POST leaves.
  if not f or f.token ~= token or not ends or ends <= now then
    answer = 2
  elseif f.state == SENDING then
    -- The same worker asks again because the reply was lost; it posts only once it has read one.
    answer = 1
  else
    local L = lane_of(f.lane)
    if f.send_by > 0 and now > f.send_by then
      give_up(L, id, f, EXPIRED, 'send-by-passed')
      answer = 3
    elseif anyone_is_out() and opted_out(read_message(id)) then
      -- SEND-SAFETY: in the same step as the intent, so that an opt-out counts that came after the claim.
      give_up(L, id, f, SUPPRESSED, 'opted-out')
      answer = 5
    elseif gate or L.paused or L.parked or L.pen > now then
      local m = read_message(id)
      leave_flight(L, m, f)
      drop_slot(L, f.token)
      enqueue_front(m)
      touch(L)
      answer = 4
    elseif session_is_over(L, tonumber(ARGV[i + 2])) then
      -- It stays claimed: its worker asks for the newest session, and then once more.
      answer = 6
    else
      -- SEND-SAFETY: the intent. From here on a dead worker's message is "unknown", never "ready".
      f.state, f.since = SENDING, now
      write_flight(id, f)
      set(LEASE, id, lease_end)
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
