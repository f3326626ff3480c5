-- settle: what became of leased messages.
-- ARGV     from 3 on, ten each: id, token, kind, age in ms, text (provider id, code or reason), delay in ms,
--          max attempts, limit, window in ms, remaining (the last three '' when the answer had no such header)
-- returns  of each: what (1 done, 2 again, 3 late evidence, 4 stale, 5 missing), state
-- invariant: idempotent by token.

-- The plan that the answer's headers tell. Answers that arrive out of order are not listened to.
local function learn(L, f, limit, window, remaining)
  if f.cnt <= L.seen then return end
  L.seen = f.cnt
  put(L, 'seen', L.seen)
  learn_plan(L, limit, window)
  if remaining and limit then
    -- Ours can't be more than what was in use at the claim plus every claim since. More than that at the server means
    -- that somebody else spends this quota: phantom slots stand for it.
    local ours = f.used + (L.cnt - f.cnt)
    local foreign = math.min((limit - remaining) - ours, L.lim)
    -- They count like claims, so that answers already under way don't tell the same ones a second time.
    for _ = 1, foreign do time_slot(L, take_slot(L), 0) end
  end
end

local answers = {}
local function answer(what, state)
  answers[#answers + 1] = what
  answers[#answers + 1] = state
end

for i = 3, #ARGV, 10 do
  local id, token, kind, age = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], tonumber(ARGV[i + 3])
  local text, delay, max_attempts = ARGV[i + 4], tonumber(ARGV[i + 5]), tonumber(ARGV[i + 6])
  local m = read_message(id)
  local f = m and read_flight(id)
  local L = m and lane_of(m.lane)
  local live = f and f.token == token
  local late = m and not f and m.state == HELD and token_of(m.note) == token
  if not m then
    answer(5, 0)
  elseif not live and not late then
    if not f and m.note ~= '' and token_of(m.note) == token then answer(2, m.state) else answer(4, m.state) end
  elseif late and (kind == 'unknown' or kind == 'released') then
    -- SEND-SAFETY: neither is evidence. Who gives a message back after the intent doesn't say that nothing was sent.
    answer(2, HELD)
  else
    touch(L)
    if live then
      leave_flight(L, m, f)
      if f.state == CLAIMED then
        -- No intent, so no POST: the slot was never used.
        drop_slot(L, token)
      else
        time_slot(L, token, age)
        learn(L, f, tonumber(ARGV[i + 7]), tonumber(ARGV[i + 8]), tonumber(ARGV[i + 9]))
      end
      -- Only an answer to a request that began after the penalty speaks of the time after it.
      if L.probe and f.state == SENDING and f.since >= L.pen and (kind == 'sent' or kind == 'rejected') then
        L.probe = false
        put(L, 'prb', '0')
      end
    else
      retime_slot(L, token, age)
      redis.call('ZREM', T..':in:'..HELD, id)
      count(HELD, -1)
    end

    local state
    if kind == 'sent' then
      close(m, SENT, 'accepted', text, token)
      state = SENT
    elseif kind == 'rejected' then
      close(m, REJECTED, text, '', token)
      state = REJECTED
    elseif kind == 'unknown' or (kind == 'released' and live and f.state == SENDING) then
      -- SEND-SAFETY: the provider may have taken it. It never goes back to a queue from here.
      close(m, HELD, text, '', token)
      state = HELD
    elseif kind == 'retry' and m.attempt + 1 >= math.min(max_attempts, 255) then -- a record counts to 255
      m.attempt = m.attempt + 1
      close(m, DEAD, text, '', token)
      state = DEAD
    else
      -- Certainly not sent: it waits again.
      m.state, m.note = READY, ''
      if kind == 'retry' then m.attempt = m.attempt + 1 end
      if late or kind == 'retry' then write_message(m) end
      if late and m.send_by > 0 then redis.call('ZADD', EXP, m.send_by, id) end
      if kind == 'retry' and delay > 0 then
        redis.call('ZADD', SCHED, now + delay, id)
        count(SCHEDULED, 1)
        state = SCHEDULED
      else
        enqueue_front(L, m)
        state = READY
      end
      if kind == 'throttled' or (kind == 'not-sent' and delay > 0) then
        -- By deadline, never by a resume message, so that nothing can be forgotten.
        L.pen = math.max(L.pen, now + delay)
        put(L, 'pen', L.pen)
        L.probe = true
        put(L, 'prb', '1')
      elseif kind == 'parked' then
        L.parked = text
        put(L, 'par', text)
      end
    end
    answer(late and 3 or 1, state)
  end
end
save()
return answers
