-- begin_send: writes the intent, the last step before a POST.
-- ARGV     3 lease in ms, then of each 32 bytes: id, token, generation of the session that it is to be sent with (0 = any)
-- returns  one integer each: 1 go, 2 lease lost, 3 expired, 4 put back, 5 suppressed, 6 its session is over
-- invariant: once this says go, the message never returns to a queue unless its fate is known, or its policy is `resend`.

local lease_ms = tonumber(ARGV[3])
local answers, begun, lease_end = {}, 0, ms(now + lease_ms)
-- SEND-SAFETY: (of the plan) a penalty may lie in the moment that a restarted store has lost, and this may be the first script
-- since.
incarnation()
local gate = gate_until()
local ids = {}
for i = 4, #ARGV do ids[i - 3] = sub(ARGV[i], 1, 16) end
fetch(F, ids)
-- SEND-SAFETY: the fence. A lease that ended, even if nobody has reaped it yet, permits nothing: another worker may hold the message
-- before this one's POST leaves. Mostly none of the shard has ended, which one count tells. A flight without a lease, which only
-- spoilt data have, passes that: nobody reaps it, so no other worker can hold its message.
local any_ended = call('ZCOUNT', LEASE.key, '-inf', NOW) > 0
if any_ended then fetch(LEASE, ids) end
local function has_ended(id)
  if not any_ended then return false end
  local ends = tonumber(get(LEASE, id))
  return not ends or ends <= now
end
local names = {}
for i = 1, #ids do
  local f = read_flight(ids[i])
  if f then names[#names + 1] = f.lane end
end
fetch(LANES, names)
fetch(POSTS, names)

-- A refresh kills the token before it at once: nothing is begun with one that was replaced, or whose renewal has begun.
local sessions = {}
local function session_is_over(lane, generation)
  if generation == 0 then return false end
  local extension = match(lane, '^[^/]+/([^/]+)/')
  local s = sessions[extension] or redis.pcall('HMGET', T..':tok:'..extension, 'gen', 'who', 'lock')
  sessions[extension] = s
  -- A key of another kind stops its extension, and no other: nobody knows which session is the newest.
  if s.err then return true end
  local newest = tonumber(s[1]) or 0
  return generation < newest or (generation == newest and s[2] and (tonumber(s[3]) or 0) > now)
end

-- No intent, so no POST: it ends here, and its slot was never used.
local function give_up(id, f, state, code)
  local m, L = read_message(id), lane_of(f.lane)
  leave_flight(L, m, f)
  drop_slot(L, f.token)
  close(m, state, code, '', f.token)
  touch(L)
end

local function is_late(f) return f.send_by > 0 and now > f.send_by end

for i = 1, #ids do
  local id = ids[i]
  local token, session = unpack_of('>I8I8', ARGV[i + 3], 17)
  local f = read_flight(id)
  local still = f and (gate or stands(f.lane))
  local answer
  if not f or f.token ~= token or has_ended(id) then
    answer = 2
  elseif f.state == SENDING then
    -- The same worker asks again because the reply was lost; it posts only once it has read one.
    answer = 1
  elseif (still or is_late(f) or anyone_is_out()) and not read_message(id) then
    -- Spoilt or gone in the worker's hand: the reaper sees to it. It must not stop the others.
    answer = 2
  elseif is_late(f) then
    give_up(id, f, EXPIRED, 'send-by-passed')
    answer = 3
  elseif anyone_is_out() and opted_out(read_message(id)) then
    -- SEND-SAFETY: in the same step as the intent, so that an opt-out counts that came after the claim.
    give_up(id, f, SUPPRESSED, 'opted-out')
    answer = 5
  elseif still then
    local m, L = read_message(id), lane_of(f.lane)
    leave_flight(L, m, f)
    drop_slot(L, f.token)
    enqueue_front(m)
    touch(L)
    answer = 4
  elseif session_is_over(f.lane, session) then
    -- It stays claimed: its worker asks for the newest session, and then once more.
    answer = 6
  else
    -- SEND-SAFETY: the intent. From here on a dead worker's message is "unknown", never "ready".
    f.state, f.since = SENDING, now
    write_flight(id, f)
    set(LEASE, id, lease_end)
    begun = begun + 1
    posting(f.lane, 1)
    answer = 1
  end
  answers[i] = answer
end
count(CLAIMED, -begun)
count(SENDING, begun)
save()
return answers
