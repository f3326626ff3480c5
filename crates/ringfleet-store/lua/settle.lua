-- settle: what became of leased messages.
-- ARGV     3 how long records are kept, in ms
--          from 4 on, one each: id (16 bytes), token, age in ms, delay in ms (8 each), max attempts, and what the headers told
--          of the plan: limit, window in ms, remaining (4 each, one more than told, 0 = no such header); then as zero-ended
--          strings kind, text (provider id, code or reason), lane ('' unless the store may have lost the message, or the send)
-- returns  of each: what (1 done, 2 again, 3 late evidence, 4 stale, 5 missing, 6 sent twice), state (0 of none)
-- invariant: idempotent by token.

local LONGEST_SEND = 360000 -- no send begins earlier before it is told, nor arrives later after it began

-- The plan that the answer's headers tell. Answers that arrive out of order are not listened to.
local function learn(L, f, limit, window, remaining)
  if f.cnt <= L.seen then return end
  L.seen = f.cnt
  learn_plan(L, limit, window)
  if remaining and limit then
    -- Ours can't be more than what was in use at the claim plus every claim since. More than that at the server means
    -- that somebody else spends this quota: phantom slots stand for it.
    local ours = f.used + (L.cnt - f.cnt)
    local foreign = min((limit - remaining) - ours, L.lim)
    -- They count like claims, so that answers already under way don't tell the same ones a second time.
    for _ = 1, foreign do time_slot(L, take_slot(L), 0) end
  end
end

local answers = {}
local function answer(what, state)
  answers[#answers + 1] = what
  answers[#answers + 1] = state
end

-- SEND-SAFETY: a message that was lost together with the moment in which it was sent may be handed in again, with the same
-- key. The record says that it was sent, or held, and stands for any content.
local function tombstone(id, lane, token, kind, word)
  if lane == '' or (kind ~= 'sent' and kind ~= 'unknown') then return end
  local print, nobody, no_note = string.rep('\0', 8), '\0', '\0'
  local m = parse(id, pack(HEAD, READY, 1, 0, 0, HOLD, now) .. print .. lane .. '\0' .. nobody .. nobody .. no_note)
  if kind == 'sent' then close(m, SENT, 'rolled-back', word, token) else close(m, HELD, 'rolled-back', '', token) end
end

-- Undoes the end, or the waiting, of a message that certainly was sent under another lease.
local function take_out(L, m, f)
  if f then
    leave_flight(L, m, f)
    if f.state == CLAIMED then drop_slot(L, f.token) else time_slot(L, f.token, 0) end
  elseif m.state == READY then
    stop_waiting(m)
  elseif m.state == UNKNOWN then
    leave_unknown(L, m)
  else
    call('ZREM', T..':in:'..m.state, m.id)
    unset(FIN, m.id)
    count(m.state, -1)
  end
end

-- What a store that has lost the moment of a send may have made of its message since, as if nothing had been sent.
local ENDED_UNSENT = { [EXPIRED] = true, [SUPPRESSED] = true, [CANCELLED] = true, [DEAD] = true }

local UNDER_WAY = 'under-way' -- as calls.rs has it

-- A report of a lease that ended, and whose story is not closed: the store has lost the moment in which it was, or has put
-- the message back since. Returns what and state, or nil when it changes nothing.
local function stale(L, m, f, was, token, kind, age, text)
  local newer = f and f.state == SENDING and f.token > token
  if kind == 'sent' then
    local known = was_sent(m) and was.provider_id or ''
    if was_sent(m) and (known == text or text == '') then return 2, m.state end
    retime_slot(L, token, age)
    if newer or known ~= '' then
      -- SEND-SAFETY: two texts went out, or are about to. It can't be undone; it is told, never dropped. Whatever becomes of
      -- the later send, the message is sent.
      if text ~= '' then credit(L, text) end
      if newer then
        write_note(m, 'sent-before', text, token, was and was.intent, was and was.reads)
        write_message(m)
      end
      return 6, newer and SENDING or m.state
    end
    -- SEND-SAFETY: it was sent, whatever was believed of it: it must not be sent again. A send of an older token is one that
    -- was over, and that a store which lost its last moments believes to be under way.
    take_out(L, m, f)
    close(m, SENT, 'accepted', text, token)
    return 3, SENT
  elseif kind == 'unknown' and not newer and (m.state == READY or m.state == UNKNOWN or ENDED_UNSENT[m.state])
    and token > (was and was.token or 0) then
    -- SEND-SAFETY: it may have been sent in a moment that the store has lost. That an older send of it arrived stays known.
    local ended = ENDED_UNSENT[m.state] and m.state
    retime_slot(L, token, age)
    take_out(L, m, f)
    if was and was.code == 'sent-before' then
      close(m, SENT, 'accepted', was.provider_id, was.token)
      return 3, SENT
    end
    -- SEND-SAFETY: the age is by the clock of the machine whose journal tells it, which may be wrong by more than a send takes. A
    -- token is made of the store's own time, and no send begins before its claim.
    local intent = min(now - age - LONGEST_SEND, floor(token / TOKENS_A_MS))
    -- SEND-SAFETY: whoever found out that it was not sent would send what somebody has taken back.
    if ended == CANCELLED then
      local first = note_of(m).intent
      close(m, HELD, 'cancelled-under-way', '', token, { intent = max(first > 0 and min(first, intent) or intent, 1), reads = 0 })
      return 3, HELD
    end
    -- SEND-SAFETY: what has ended, or may be under way still, is asked for first.
    return 3, fate_unknown(L, m, text, token, intent, ended or text == UNDER_WAY)
  end
  return nil
end

-- SEND-SAFETY: (of the plan) by deadline, never by a resume message, so that nothing can be forgotten.
local function penalise(L, until_at)
  L.pen, L.probe = max(L.pen, until_at), true
end

-- SEND-SAFETY: (of the plan) whatever is known of the message by now, its lane was refused. Said again it changes nothing.
local function heard_late(L, token, kind, age, delay)
  local until_at = now - age + delay
  if kind == 'throttled' and until_at > max(L.pen, now) then
    retime_slot(L, token, age)
    penalise(L, until_at)
  end
end

-- SEND-SAFETY: (of the plan) told of a request that the store may have forgotten: the provider's window has it. A journal knows
-- when one without an answer was about to begin, and not when it arrived: no later than now, and than its longest time.
local function heard_again(L, token, kind, age, delay)
  heard_late(L, token, kind, age, delay)
  if kind == 'unknown' then
    if age < hold_of(L) + LONGEST_SEND then retime_slot(L, token, 0) end
  elseif kind ~= 'released' and age < hold_of(L) then
    retime_slot(L, token, age)
  end
end

local REPORT = '>I8I8I8I4I4I4I4sss'
-- Of a header; nil when the answer had none.
local function told(n) return n > 0 and n - 1 or nil end

local ids, names, pairs_met = {}, {}, {}
for i = 4, #ARGV do ids[i - 3] = sub(ARGV[i], 1, 16) end
fetch(M, ids)
fetch(F, ids)
for i = 1, #ids do
  local m = read_message(ids[i])
  if m then
    pairs_met[#pairs_met + 1] = m.pair
    names[#names + 1] = m.lane
  end
end
fetch(PAIR, pairs_met)
fetch(LANES, names)
fetch(POSTS, names)

for i = 1, #ids do
  local id = ids[i]
  local token, age, delay, max_attempts, limit, window, remaining, kind, text, lane = unpack_of(REPORT, ARGV[i + 3], 17)
  local m = read_message(id)
  -- Told by a journal, of a send whose record may have been forgotten in its turn: by the store's own time, whatever the clock of
  -- the machine that tells it says.
  local claimed = floor(token / TOKENS_A_MS)
  local long_ago = lane ~= '' and now - claimed >= tonumber(ARGV[3])
  -- SEND-SAFETY: its record would have kept the key for that long after the claim. What came in by then is that message, whenever
  -- it is told: a store that went back believes it unsent, or was given it again. What came in later is another.
  if m and lane ~= '' and m.created > claimed and m.created - claimed >= tonumber(ARGV[3]) then m, long_ago = nil, true end
  local f = m and read_flight(id)
  local L = m and lane_of(m.lane)
  local was = m and m.note ~= '' and note_of(m)
  local live = f and f.token == token
  local closed_by_it = was and not f and was.token == token
  local late = closed_by_it and (m.state == HELD or m.state == UNKNOWN)
  -- SEND-SAFETY: neither is evidence. Who gives a message back after the intent doesn't say that nothing was sent.
  local evidence = kind ~= 'unknown' and kind ~= 'released'
  -- A message without its text can't be sent again, whatever is told of it.
  if m and not has_text(m) and kind ~= 'sent' and kind ~= 'rejected' then evidence = false end
  if not m then
    -- Another record would keep its key from the next message.
    if not long_ago then tombstone(id, lane, token, kind, text) end
    if lane ~= '' then
      local L = lane_of(lane)
      touch(L)
      heard_again(L, token, kind, age, delay)
    end
    answer(long_ago and 4 or 5, 0)
  elseif not live and not (late and evidence) then
    touch(L)
    local hear = lane ~= '' and heard_again or heard_late
    hear(L, token, kind, age, delay)
    local what, state
    if not closed_by_it or kind == 'sent' then
      what, state = stale(L, m, f, was, token, kind, age, text)
    end
    if what then
      answer(what, state)
    else
      answer(closed_by_it and 2 or 4, state_now(m))
    end
  else
    touch(L)
    if live then
      leave_flight(L, m, f)
      local unused = kind == 'not-sent' or kind == 'later' or kind == 'parked'
      if f.state == CLAIMED and (kind == 'released' or lane == '' and unused) then
        -- No intent, so no POST: the slot was never used. A journal tells of requests only: there the intent was lost.
        drop_slot(L, token)
      else
        -- SEND-SAFETY: (of the plan) a journal knows when a send was about to begin, and not when its request arrived: perhaps
        -- just now. As of a dead worker's that nobody tells of, its slot counts from here.
        time_slot(L, token, lane ~= '' and kind == 'unknown' and 0 or age)
        learn(L, f, told(limit), told(window), told(remaining))
      end
      -- Only an answer to a request that began after the penalty speaks of the time after it.
      if L.probe and f.state == SENDING and f.since >= L.pen and (kind == 'sent' or kind == 'rejected') then
        L.probe = false
      end
    else
      retime_slot(L, token, age)
      if m.state == UNKNOWN then
        leave_unknown(L, m)
      else
        call('ZREM', T..':in:'..HELD, id)
        count(HELD, -1)
      end
    end

    if kind == 'throttled' then penalise(L, now - age + delay) end
    if kind == 'not-sent' and delay > 0 then penalise(L, now + delay) end

    local state
    local before = live and was and was.code == 'sent-before'
    if before and kind ~= 'sent' then
      close(m, SENT, 'accepted', was.provider_id, was.token)
      state = SENT
    elseif kind == 'sent' then
      close(m, SENT, 'accepted', text, token)
      state = SENT
    elseif late and was.code == 'cancelled-under-way' and kind ~= 'rejected' then
      -- SEND-SAFETY: certainly not sent, and somebody has taken it back.
      close(m, CANCELLED, 'cancelled', '', token)
      state = CANCELLED
    elseif kind == 'rejected' then
      close(m, REJECTED, text, '', token)
      state = REJECTED
    elseif kind == 'unknown' or (kind == 'released' and live and f.state == SENDING) then
      -- SEND-SAFETY: not sent again beside a POST that is still under way, but asked for first.
      state = fate_unknown(L, m, text, token, f.since, text == UNDER_WAY)
    elseif kind == 'retry' and m.attempt + 1 >= min(max_attempts, 255) then -- a record counts to 255
      m.attempt = min(m.attempt + 1, 255)
      close(m, DEAD, text, '', token)
      state = DEAD
    else
      -- Certainly not sent: it waits again.
      if kind == 'retry' then m.attempt = m.attempt + 1 end
      if late then
        m.state = READY
        write_note(m, 'not-sent', '', token, was.intent, 0)
        L.again = was.intent > 0 or L.again
        if m.send_by > 0 then set(EXP, id, ms(m.send_by)) end
      end
      local quiet = kind == 'later' and delay > 0
      -- The delay was reckoned when the worker looked.
      local due = quiet and max(now + 1, now - age + delay) or now + delay
      if quiet then
        -- SEND-SAFETY: nothing but the word and the time: what is known of earlier sends, and the lease whose story is closed,
        -- stay. A journal that tells of one of those would else go unheard, and the text be sent again.
        local known = note_of(m)
        write_note(m, QUIET, known.provider_id, known.token or 0, known.intent, known.reads, due)
      end
      if late or kind == 'retry' or quiet then write_message(m) end
      if quiet or (kind == 'retry' and delay > 0) then
        put_off(m, due)
        state = SCHEDULED
      else
        enqueue_front(m)
        state = READY
      end
      if kind == 'parked' then
        -- Told of a lease of before the lane was let go on, it may be of a cause that is gone: the message's next attempt
        -- tells.
        if token > (tonumber(call('HGET', session_of(m.lane), 'resumed')) or 0) then L.parked = text end
      end
    end
    answer(late and 3 or 1, state)
  end
end
save()
return answers
