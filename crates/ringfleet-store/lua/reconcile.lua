-- reconcile: takes lanes whose unknown sends are to be looked up, and decides by what the provider's message store shows.
-- ARGV     3 'take', 4 lanes at most, 5 ms until another reconciler may take the same lane
--          3 'decide', 4 settle time in ms, 5 attempts at most, then of each: id, token, when the read began,
--            reason to hold it ('' = by the candidates), number of candidates, their provider ids
-- returns  take: of each lane: name, how many, then of each send: id, token, blob
--          decide: of each: 1 sent, 2 not yet, 3 again, 4 held, 5 dead, 6 stale, 7 suppressed
-- bounded: 100 sends of a lane at a time, the longest unknown first.

local MOST = 100

-- SEND-SAFETY: behind a closed gate the store may not have been told yet which texts were sent for whom. Nobody else may have
-- noticed a restart yet.
incarnation()
local closed = gate_until()

if ARGV[3] == 'take' then
  local out = {}
  if closed then return out end
  for _, name in ipairs(call('ZRANGEBYSCORE', UNK, '-inf', now, 'LIMIT', 0, tonumber(ARGV[4]))) do
    call('ZADD', UNK, now + tonumber(ARGV[5]), name)
    local L = lane_of(name)
    L.looked_at = now + tonumber(ARGV[5])
    keep(L)
    local ids = call('ZRANGE', T..':u:'..name, 0, MOST - 1)
    out[#out + 1] = name
    out[#out + 1] = #ids
    for _, id in ipairs(ids) do
      local m = read_message(id)
      out[#out + 1] = id
      out[#out + 1] = ms(m and token_of(m) or 0)
      out[#out + 1] = m and m.blob or ''
    end
  end
  save()
  return out
end

-- SEND-SAFETY: late evidence may have found a second one of the pair. While that is being sent, what is found may be its text,
-- until its own report has counted it; while its fate is unknown too, nobody can tell whose a text is that is both of theirs.
-- Returns whether one is being sent, and whether one with the same text is unknown.
local function twins(m)
  local sending, unknown = false, false
  for _, id in ipairs(others_of_pair(m)) do
    local f, other = read_flight(id), read_message(id)
    sending = sending or (f and f.state == SENDING)
    unknown = unknown or (other and other.state == UNKNOWN and sub(other.blob, other.text_at) == sub(m.blob, m.text_at))
  end
  return sending, unknown
end

local settle_ms, max_attempts = tonumber(ARGV[4]), tonumber(ARGV[5])
local answers, seen, again = {}, {}, false
local i = 6
while i <= #ARGV do
  local id, token, began, reason, n = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), ARGV[i + 3], tonumber(ARGV[i + 4])
  local m = read_message(id)
  local was = m and m.state == UNKNOWN and note_of(m)
  if not was or was.token ~= token then
    answers[#answers + 1] = 6
  elseif closed then
    answers[#answers + 1] = 2
  else
    local L = lane_of(m.lane)
    touch(L)
    seen[L.name] = L
    -- SEND-SAFETY: a text that proved another message's sending proves nothing about this one.
    local free, met = {}, {}
    for c = i + 5, i + 4 + n do
      if not met[ARGV[c]] and not call('ZSCORE', T..':k:'..L.name, ARGV[c])
        and not call('ZSCORE', T..':wait:'..L.name, ARGV[c]) then
        free[#free + 1] = ARGV[c]
      end
      met[ARGV[c]] = true
    end
    local wait, several = false, #free > 1
    if reason == '' and #free > 0 then
      local sending, unknown = twins(m)
      wait, several = sending, not sending and (several or unknown)
    end
    if reason ~= '' or several then
      leave_unknown(L, m)
      close(m, HELD, reason ~= '' and reason or 'several-matches', '', token, was)
      answers[#answers + 1] = 4
    elseif #free == 1 and not wait then
      leave_unknown(L, m)
      close(m, SENT, 'reconciled', free[1], token, was)
      answers[#answers + 1] = 1
    else
      was.reads = was.reads + 1
      -- SEND-SAFETY: absent only by two complete reads, the last of them begun when what was under way must be on record.
      if not wait and was.reads >= 2 and began >= was.at + settle_ms then
        leave_unknown(L, m)
        m.attempt = min(m.attempt + 1, 255)
        if opted_out(m) then
          close(m, SUPPRESSED, 'opted-out', '', token, was)
          answers[#answers + 1] = 7
        elseif m.attempt >= min(max_attempts, 255) then
          close(m, DEAD, 'never-arrived', '', token, was)
          answers[#answers + 1] = 5
        else
          wait_again(m, 'not-sent', token)
          again = true
          answers[#answers + 1] = 3
        end
      else
        write_note(m, was.code, '', token, was.intent, was.reads, was.at)
        write_message(m)
        answers[#answers + 1] = 2
      end
    end
  end
  i = i + 5 + n
end

-- When each lane is to be looked at next: one never read soon, one that was read when its settle time is over.
for name, L in pairs(seen) do
  unlock(L)
  if L.unk > 0 then
    local next_look
    for _, id in ipairs(call('ZRANGE', T..':u:'..name, 0, MOST - 1)) do
      local m = read_message(id)
      local was = m and note_of(m)
      local look = was and (was.reads == 0 and was.at + 500 or max(now + 1000, was.at + settle_ms))
      if look and (not next_look or look < next_look) then next_look = look end
    end
    if next_look then call('ZADD', UNK, next_look, name) end
  end
end
save()
if again then call('PUBLISH', T..':wake', '') end
return answers
