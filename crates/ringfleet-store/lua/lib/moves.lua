-- The moves of a message between its places, which the transitions are made of.

-- What comes to the front, and to the back, of a queue: goes out with `save`, a queue at a time.
local pushes = { {}, {} }

local NOW_PACKED = pack('>I8', now)
local function push(id, lane, prio, due, front)
  local queue, side = queue_of(lane, prio), pushes[front and 1 or 2]
  local P = side[queue]
  if not P then
    P = { lane = lane, prio = prio, entries = {} }
    side[queue] = P
    side[#side + 1] = queue
  end
  P.entries[#P.entries + 1] = id .. (due == now and NOW_PACKED or pack('>I8', due))
  count(READY, 1)
end

-- Behind others it changes nothing of the lane's place: that was right before.
local function enqueue_back(m) push(m.id, m.lane, m.prio, due_of(m), false) end
local function enqueue_front(m) push(m.id, m.lane, m.prio, due_of(m), true) end

-- SEND-SAFETY: of the messages between one sender and one recipient only one is in flight or of unknown fate, so that what
-- the provider's message store shows can be told apart.
local function others_of_pair(m)
  local ids, known = {}, get(PAIR, m.pair) or ''
  for at = 1, #known, 16 do
    local id = sub(known, at, at + 15)
    if id ~= m.id then ids[#ids + 1] = id end
  end
  return ids
end

-- A message that is neither in flight nor of unknown fate any more holds no pair, whatever stands there.
local function holds_pair(id)
  if get(F, id) then return true end
  local other = read_message(id)
  return other and other.state == UNKNOWN
end

-- The sender's and the recipient's.
local function numbers_of(m) return match(m.pair, '^(%Z*)%z(.*)$') end

local function take_pair(m) set(PAIR, m.pair, table.concat(others_of_pair(m)) .. m.id) end

-- Late evidence may have found a second holder: that one keeps it.
local function free_pair(m)
  local others = get(PAIR, m.pair) ~= m.id and others_of_pair(m) or {}
  set(PAIR, m.pair, #others > 0 and table.concat(others))
end

-- SEND-SAFETY: nothing is sent to a number that has opted out of its sender's texts. A fleet without opt-outs pays for one
-- look a script, not for one a message.
local any_out
local function anyone_is_out()
  if any_out == nil then any_out = call('EXISTS', OUT) == 1 end
  return any_out
end

local function is_out(extension, from, to)
  if not anyone_is_out() then return false end
  local own, all = extension..'\0', '\0'
  local found = call('ZMSCORE', OUT, own..from..'\0'..to, own..'*\0'..to, all..from..'\0'..to, all..'*\0'..to)
  return (found[1] or found[2] or found[3] or found[4]) and true or false
end
local function opted_out(m) return anyone_is_out() and is_out(extension_of(m), numbers_of(m)) end

-- An empty extension is every one.
local function opt_out(extension, from, to)
  local name = extension..'\0'..from..'\0'..to
  if not call('ZSCORE', OUT, name) then call('ZADD', OUT, ms(next_token()), name) end
end

-- Takes a message out of its worker's hand.
local function leave_flight(L, m, f)
  free_pair(m)
  unset(F, m.id)
  unset(LEASE, m.id)
  count(f.state, -1)
  in_flight(L, -1)
  if f.state == SENDING then posting(L.name, -1) end
end

-- Ends a message, or gives it to a person. `was` tells of a send whose fate is unknown; otherwise what the note tells stays.
local function close(m, state, code, provider_id, token, was)
  m.state = state
  was = was or note_of(m)
  write_note(m, code, provider_id, token, was.intent, was.reads)
  if state == SENT then forget_text(m) end
  write_message(m)
  if m.send_by > 0 then unset(EXP, m.id) end
  if state ~= HELD then set(FIN, m.id, NOW) end
  if state == HELD or state == DEAD then call('ZADD', T..':in:'..state, now, m.id) end
  count(state, 1)
  if state == SENT and provider_id ~= '' then
    local L = lane_of(m.lane)
    -- SEND-SAFETY: those whose report is waited for are remembered there, and credited when they wait no longer.
    if REPORT_WAIT > 0 then
      await_report(L, m, provider_id, token, was.intent)
    else
      credit(L, provider_id)
    end
  end
end

-- SEND-SAFETY: it ends without a send that this would be the end of. Whose story was closed before stays known: a journal tells
-- of that send once more, and it must not open the message again.
local function close_unsent(m, state, code) close(m, state, code, '', token_of(m) or 0) end

-- A message that waits is due later.
-- SEND-SAFETY: of the lane of one that is sent again no credit is forgotten meanwhile: see `again` in lib/save.lua. A text of its
-- first send, or one that was credited to another message, must still be told from its next.
local function put_off(m, at)
  set(SCHED, m.id, ms(at))
  count(SCHEDULED, 1)
  if m.note ~= '' and (note_of(m).intent or 0) > 0 then call('ZADD', ASLEEP, 'GT', ms(at), m.lane) end
end

-- It waits again, at the head of its lane, and the story of `token` is closed. `intent` is that of its first send whose fate is
-- or was unknown, if the note does not tell it yet.
local function wait_again(m, code, token, intent)
  m.state = READY
  -- SEND-SAFETY: it stays that of the first send: a text of that which shows up late is found as well, and whoever sends the
  -- message again by hand is told from when on to look.
  intent = intent or note_of(m).intent
  write_note(m, code, '', token, intent, 0)
  write_message(m)
  if intent > 0 then lane_of(m.lane).again = true end
  if m.send_by > 0 then set(EXP, m.id, ms(m.send_by)) end
  enqueue_front(m)
end

-- SEND-SAFETY: nobody knows whether the provider took it. Never back to a queue from here, unless its policy says so.
-- `intent` is the time before which it certainly was not sent. Returns the state. `ask_first`: whatever its policy says, this
-- report does not send it again. It is no change of `m`: the next report of the batch may be of the same message.
local function fate_unknown(L, m, code, token, intent, ask_first)
  local first = note_of(m).intent
  intent = max(first > 0 and min(first, intent) or intent, 1)
  local policy = ask_first and m.policy == RESEND and RECONCILE or m.policy
  local again = policy == RESEND and m.attempt + 1 < MOST_SENDS
  -- SEND-SAFETY: its policy would send it again, but its recipient has opted out since. Whether the first one arrived is asked.
  local never_again = again and opted_out(m)
  if again and not never_again then
    m.attempt = m.attempt + 1
    wait_again(m, 'resent', token, intent)
    return READY
  elseif policy ~= RECONCILE and not never_again then
    close(m, HELD, code, '', token, { intent = intent, reads = 0 })
    return HELD
  end
  m.state = UNKNOWN
  write_note(m, code, '', token, intent, 0)
  write_message(m)
  if m.send_by > 0 then unset(EXP, m.id) end
  take_pair(m)
  call('ZADD', T..':u:'..L.name, now, m.id)
  call('ZADD', T..':in:'..UNKNOWN, now, m.id)
  -- A moment later, so that one read serves those that come together; not while somebody reads for the others.
  local look, soon = tonumber(call('ZSCORE', UNK, L.name)), max(now + 500, L.looked_at)
  if not look or look > soon then call('ZADD', UNK, soon, L.name) end
  call('PERSIST', T..':k:'..L.name)
  L.unk = L.unk + 1
  count(UNKNOWN, 1)
  return UNKNOWN
end

-- Nobody reads for the lane any more.
local function unlock(L)
  L.looked_at = 0
end

-- Its fate is known, or it is given to a person.
local function leave_unknown(L, m)
  free_pair(m)
  call('ZREM', T..':u:'..L.name, m.id)
  call('ZREM', T..':in:'..UNKNOWN, m.id)
  L.unk = max(0, L.unk - 1)
  count(UNKNOWN, -1)
  if L.unk <= 0 then
    unlock(L)
    call('ZREM', UNK, L.name)
    call('PEXPIRE', T..':k:'..L.name, SLOTS_KEPT)
  end
end

-- Whether an entry of a lane's queue still stands for a message that waits there. That of one which was cancelled or expired
-- meanwhile is only its shadow.
-- SEND-SAFETY: a shadow outlives its message; when that comes back under the same key, two entries may name one message, so
-- one that is in a worker's hand is never handed out again, nor one before its time, nor one that now belongs to another lane.
local function waits_in(L, m)
  return m and m.state == READY and m.lane == L.name and not get(F, m.id) and not get(SCHED, m.id)
end

-- Takes a waiting message out of the schedule, or leaves its entry in the queue as a shadow until it comes to the head; taking
-- that out would cost a walk through the list.
local function stop_waiting(m)
  local scheduled = get(SCHED, m.id)
  unset(SCHED, m.id)
  count(scheduled and SCHEDULED or READY, -1)
  if not scheduled then
    local L = lane_of(m.lane)
    L.shadows = true
    touch(L)
  end
end

-- Takes the shadows at the heads of a lane's queues away, which a lane that stands would show as waiting for as long as it does.
-- All lanes of a script together get so many; what is left over the reaper goes on with.
-- SEND-SAFETY: nothing is taken away but what `claim` would pass over.
local shadows_left = AT_ONCE
local function drop_shadows(L)
  L.shadows, L.queued = false, true
  for _, prio in ipairs(FILLED[L.queues]) do
    while true do
      local head = head_of(L, prio)
      if type(head) ~= 'string' then break end
      local m, junk = read_message(sub(head, 1, 16))
      -- What can't be read is put aside in its turn.
      if junk or waits_in(L, m) then break end
      if shadows_left == 0 then
        call('ZADD', SHADOWS, NOW, L.name)
        return
      end
      shadows_left = shadows_left - 1
      call('LPOP', queue_of(L.name, prio))
    end
  end
  if L.listed then call('ZREM', SHADOWS, L.name) end
end

