-- reap: looks after what nobody holds any more.
-- ARGV     3 at most this many of each kind, 4 retention of final records in ms, 5 recoveries before a message is poison,
--          6 how long the removal of a document is remembered, in ms, 7 and how many of them at most
--          8 with several shards: ms after which an entry of `gone` is given out again, else '0'
-- returns  { { requeued, unknown, poisoned, expired, pruned, unreported, things that can't be read }, entries of `gone` }

local limit, retention, max_recoveries = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local tell_after = tonumber(ARGV[8])
local requeued, unknown, poisoned, expired, pruned, unreported = 0, 0, 0, 0, 0, 0
local again = false

-- Delivery reports that did not come in their time, the longest waiting lane first.
for _, name in ipairs(call('ZRANGEBYSCORE', OLDEST, '-inf', GIVEN_UP, 'LIMIT', 0, limit)) do
  local L = lane_of(name)
  for _, id in ipairs(call('ZRANGEBYSCORE', T..':wait:'..name, '-inf', GIVEN_UP, 'LIMIT', 0, limit - unreported)) do
    forget_report(L, id)
    unreported = unreported + 1
  end
  index_reports(L)
  if unreported == limit then break end
end

for _, id in ipairs(call('ZRANGEBYSCORE', LEASE.key, '-inf', now, 'LIMIT', 0, limit)) do
  local m, f = read_message(id), read_flight(id)
  local raw = get(F, id)
  if not m or not f then
    unset(LEASE, id)
    unset(F, id)
    if m and raw and m.state == READY then
      -- SEND-SAFETY: what its flight says can't be read, so nobody knows whether it was sent: a person decides. Its slot is not
      -- known either, and stays.
      local L = lane_of(m.lane)
      touch(L)
      in_flight(L, -1)
      free_pair(m)
      local begun = byte(raw) == SENDING
      count(begun and SENDING or CLAIMED, -1)
      if begun then posting(L.name, -1) end
      close(m, HELD, 'unreadable-flight', '', 0, { intent = 1, reads = 0 })
      unknown = unknown + 1
    elseif f then
      -- SEND-SAFETY: a record that is gone, or can't be read any more, goes to no queue. It leaves its place in the lane.
      local L, blob = lane_of(f.lane), get(M, id)
      touch(L)
      in_flight(L, -1)
      if f.state == SENDING then
        posting(L.name, -1)
        time_slot(L, f.token, 0)
      else
        drop_slot(L, f.token)
      end
      if blob then put_aside(id, blob, f.state) else count(f.state, -1) end
    end
  else
    local L = lane_of(m.lane)
    touch(L)
    leave_flight(L, m, f)
    if f.state == SENDING then
      -- SEND-SAFETY: its worker died after the intent; the POST may have arrived.
      time_slot(L, f.token, 0)
      local was = m.note ~= '' and note_of(m)
      if was and was.code == 'sent-before' then
        close(m, SENT, 'accepted', was.provider_id, was.token)
      else
        again = fate_unknown(L, m, 'worker-lost', f.token, f.since) == READY or again
      end
      unknown = unknown + 1
    else
      -- SEND-SAFETY: no intent, hence no POST, and begin_send refuses the old token from now on.
      drop_slot(L, f.token)
      m.recov = m.recov + 1
      if m.recov > max_recoveries then
        -- SEND-SAFETY: the story of its lease is not closed: a store that has lost the intent may be told yet that it was sent.
        close_unsent(m, DEAD, 'poison')
        poisoned = poisoned + 1
      else
        write_message(m)
        enqueue_front(m)
        requeued = requeued + 1
      end
    end
  end
end

-- A store that has lost a moment ends nothing as unsent before it has been told what was sent in it. Nobody else may have
-- noticed a restart yet.
incarnation()
local told = restarted_until(call('HGET', GATE, 'lost')) <= now
for _, id in ipairs(told and call('ZRANGEBYSCORE', EXP.key, '-inf', '(' .. ms(now), 'LIMIT', 0, limit) or {}) do
  local m = read_message(id)
  if not m or m.state ~= READY then
    unset(EXP, id)
  elseif get(F, id) then
    -- In a worker's hand: begin_send judges it, or settle puts it back and it is looked at again.
    set(EXP, id, ms(now + 1000))
  else
    stop_waiting(m)
    close_unsent(m, EXPIRED, 'send-by-passed')
    expired = expired + 1
  end
end

for _, name in ipairs(call('ZRANGE', SHADOWS, 0, 7)) do
  local L = lane_of(name)
  L.shadows, L.listed = true, true
  touch(L)
end

for _, id in ipairs(call('ZRANGEBYSCORE', FIN.key, '-inf', now - retention, 'LIMIT', 0, limit)) do
  local m = read_message(id)
  unset(FIN, id)
  if m then
    forget_message(id)
    call('ZREM', T..':in:'..m.state, id)
    count(m.state, -1)
    pruned = pruned + 1
    if tell_after > 0 then call('ZADD', GONE, NOW, id .. m.lane) end
  end
end

-- Keys that nobody asked for lately: see `reserve`.
if tell_after > 0 then
  local old = call('ZRANGEBYSCORE', ASKED, '-inf', now - tell_after, 'LIMIT', 0, AT_ONCE - 2)
  if #old > 0 then call('ZREM', ASKED, unpack(old)) end
end

-- Their keys' homes are to forget them: see `forget`. Each is one reaper's for a while, who may come to nothing.
local gone_keys = {}
if tell_after > 0 then
  local entries, named = call('ZRANGEBYSCORE', GONE, '-inf', NOW, 'LIMIT', 0, limit), {}
  for i, entry in ipairs(entries) do named[i] = sub(entry, 1, 16) end
  fetch(M, named)
  for i, entry in ipairs(entries) do
    -- SEND-SAFETY: a key that was used anew meanwhile has a record again, and is remembered as long as that.
    if get(M, named[i]) then
      call('ZREM', GONE, entry)
    else
      call('ZADD', GONE, ms(now + tell_after), entry)
      gone_keys[#gone_keys + 1] = entry
    end
  end
end

for _, name in ipairs(call('ZRANGEBYSCORE', DOC_ENDS, '-inf', now, 'LIMIT', 0, limit)) do
  local kind, key = match(name, '^(%l+)/(.*)$')
  forget_doc(kind, key, next_token())
end
-- A revision is made of its time, so it tells how old the removal is.
local remembered, too_many = (now - tonumber(ARGV[6]) + 1) * TOKENS_A_MS, call('ZCARD', DOC_GONE) - tonumber(ARGV[7])
local gone = call('ZRANGE', DOC_GONE, 0, limit - 1, 'WITHSCORES')
for i = 1, #gone, 2 do
  local rev = tonumber(gone[i + 1])
  if rev >= remembered and i > too_many * 2 then break end
  local kind, key = match(gone[i], '^(%l+)/(.*)$')
  call('ZREM', DOC_GONE, gone[i])
  call('ZREM', T..':docrev:'..kind, key)
  call('HSET', DOC_FLOOR, kind, ms(rev))
end
save()
if requeued > 0 or again then call('PUBLISH', T..':wake', '') end
return { { requeued, unknown, poisoned, expired, pruned, unreported, call('HLEN', T..':junk') }, gone_keys }
