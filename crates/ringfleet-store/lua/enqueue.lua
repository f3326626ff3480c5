-- enqueue: takes in messages. Refused as a whole when Redis is out of memory, because its first write needs memory.
-- ARGV     from 3 on, ten a message: id, priority, what to do when its fate is unknown, send_at, send_by (0 = none),
--          fingerprint, lane, from, to, text
-- returns  one integer a message: 1 accepted, 2 duplicate, 3 conflict
-- invariant: the id of a keyed message comes from its key, so the record itself is the proof of a duplicate.

-- SEND-SAFETY: the names in a record end with a zero byte. One inside would make the next name of its rest: another
-- recipient. Looked for before anything is written, so that a batch is refused as a whole.
for i = 3, #ARGV, 10 do
  if string.find(ARGV[i + 7], '%z') or string.find(ARGV[i + 8], '%z') then
    return redis.error_reply('ZEROBYTE a number holds a zero byte')
  end
end

local function take_in(m)
  write_message(m)
  if m.send_by > 0 then redis.call('ZADD', EXP, m.send_by, m.id) end
  if m.send_at > now then
    redis.call('ZADD', SCHED, m.send_at, m.id)
    count(SCHEDULED, 1)
  else
    enqueue_back(m)
  end
end

local answers, any = {}, false
for i = 3, #ARGV, 10 do
  local id, fp = ARGV[i], ARGV[i + 5]
  local known = redis.call('HGET', M, id)
  if known then
    -- SEND-SAFETY: a repeated request must not become a second text; other content under one key is told apart.
    local print = string.sub(known, 30, 45)
    -- A tombstone (see settle) stands for any content.
    answers[#answers + 1] = (print == fp or print == string.rep('\0', 16)) and 2 or 3
  else
    local m = {
      id = id, state = READY, prio = tonumber(ARGV[i + 1]), attempt = 0, recov = 0, created = now,
      policy = tonumber(ARGV[i + 2]), send_at = tonumber(ARGV[i + 3]), send_by = tonumber(ARGV[i + 4]), fp = fp,
      lane = ARGV[i + 6], from = ARGV[i + 7], to = ARGV[i + 8], note = '', text = ARGV[i + 9],
    }
    if opted_out(m) then
      -- SEND-SAFETY: it never comes to a queue.
      close(m, SUPPRESSED, 'opted-out', '', 0)
    else
      take_in(m)
      any = true
    end
    answers[#answers + 1] = 1
  end
end
save()
if any then redis.call('PUBLISH', T..':wake', '') end
return answers
