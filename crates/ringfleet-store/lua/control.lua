-- control: an operator's hand on a lane, a message or the whole shard.
-- ARGV     3 what, then
--          pause lane 0|1 · park lane reason ('' lets it go on) · unpark lane · cancel id
--          gate open · gate stop reason · gate until ms reason · resolve id resend|sent|cancelled
-- returns  pause, park, unpark, gate: 1;  cancel, resolve: { 1 done | 2 not possible | 3 missing, state }

local what = ARGV[3]
local answer = 1
-- What a person does may follow a repair by hand, so the queues themselves are looked at.
local function touch_again(L)
  L.queued, L.queues = true, ANY_QUEUE
  touch(L)
end
-- The lane goes on: what was learnt under a lease of before speaks of a cause that is said to be gone.
local function goes_on(L)
  touch_again(L)
  L.parked = nil
  call('HSET', session_of(L.name), 'resumed', ms(next_token()))
end
if what == 'pause' then
  local L = lane_of(ARGV[4])
  touch_again(L)
  L.paused = ARGV[5] == '1'
elseif what == 'park' then
  local L = lane_of(ARGV[4])
  if ARGV[5] == '' then
    goes_on(L)
    -- Whoever lets it go on says that the cause is gone, so a refused credential is tried again.
    call('HDEL', session_of(L.name), 'dead')
  else
    touch_again(L)
    L.parked = ARGV[5]
  end
elseif what == 'unpark' then
  -- Another credential has come: those that were refused stay so.
  goes_on(lane_of(ARGV[4]))
elseif what == 'gate' then
  if ARGV[4] == 'open' then
    -- The kill switch only: a penalty of the provider goes on, whatever an operator wishes.
    call('HDEL', GATE, 'stop', 'reason')
  elseif ARGV[4] == 'stop' then
    call('HSET', GATE, 'stop', '1', 'reason', ARGV[5])
  else
    -- A penalty never shortens a longer one and never opens the kill switch; under it, it is remembered.
    if (tonumber(call('HGET', GATE, 'until')) or 0) < tonumber(ARGV[5]) then
      call('HSET', GATE, 'until', ARGV[5], 'why', ARGV[6])
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
      stop_waiting(m)
      close_unsent(m, CANCELLED, 'cancelled')
      answer = { 1, CANCELLED }
    end
  end
elseif what == 'resolve' then
  local m, how = read_message(ARGV[4]), ARGV[5]
  if not m then
    answer = { 3, 0 }
  elseif (m.state ~= HELD and not (m.state == DEAD and how == 'resend')) or (how == 'resend' and not has_text(m)) then
    answer = { 2, state_now(m) }
  else
    local L, was = lane_of(m.lane), note_of(m)
    touch(L)
    call('ZREM', T..':in:'..m.state, m.id)
    unset(FIN, m.id)
    count(m.state, -1)
    if how == 'resend' and opted_out(m) then
      close(m, SUPPRESSED, 'opted-out', '', was.token, was)
      answer = { 2, SUPPRESSED }
    elseif how == 'resend' then
      -- SEND-SAFETY: a person has looked and says that it was not sent. Counted as an attempt. What was sent before is another
      -- message's: days later it must not pass for this one.
      m.attempt = min(m.attempt + 1, 255)
      m.recov, m.note = 0, ''
      wait_again(m, 'resent-by-operator', was.token)
      answer = { 1, READY }
    else
      local state = how == 'sent' and SENT or CANCELLED
      close(m, state, 'closed-by-operator', '', was.token, was)
      answer = { 1, state }
    end
  end
end
save()
if what ~= 'cancel' then call('PUBLISH', T..':wake', '') end
return answer
