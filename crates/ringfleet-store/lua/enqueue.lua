-- enqueue: takes in messages. Refused as a whole when Redis is out of memory, because its first write needs memory.
-- ARGV     from 3 on, three a message: id, then its record (see HEAD) up to the time at which it is created, and from there on
-- returns  one integer a message: 1 accepted, 2 duplicate, 3 conflict
-- invariant: the id of a keyed message comes from its key, so the record itself is the proof of a duplicate.

local CREATED = pack('>I6', now)
local any = false

-- SEND-SAFETY: it never comes to a queue when its recipient has opted out.
local function is_suppressed(id, record)
  if not anyone_is_out() then return false end
  local m = parse(id, record)
  if opted_out(m) then close_unsent(m, SUPPRESSED, 'opted-out') end
  return m.state == SUPPRESSED
end

local function take_in(id, head, tail, send_at, send_by, lane)
  local record = head .. CREATED .. tail
  if is_suppressed(id, record) then return end
  set(M, id, record)
  any = true
  if send_by > 0 then set(EXP, id, ms(send_by)) end
  if send_at > now then
    set(SCHED, id, ms(send_at))
    count(SCHEDULED, 1)
  else
    push(id, lane, byte(head, 2), now, false)
  end
end

local answers, ids = {}, arguments(3, 3)
fetch(M, ids)
for i, id in ipairs(ids) do
  local head, tail = ARGV[i * 3 + 1], ARGV[i * 3 + 2]
  local send_at, send_by, lane = 0, 0, nil
  if byte(head, 5) >= OWN_TIMES then
    send_at, send_by, lane = unpack_of('>I6I6s', tail, 9)
  else
    lane = unpack_of('s', tail, 9)
  end
  local known = get(M, id)
  if known then
    -- SEND-SAFETY: a repeated request must not become a second text; other content under one key is told apart.
    local print, known_print = sub(tail, 1, 8), sub(known, 12, 19)
    -- A tombstone (see settle) stands for any content.
    answers[i] = (known_print == print or known_print == string.rep('\0', 8)) and 2 or 3
  else
    take_in(id, head, tail, send_at, send_by, lane)
    answers[i] = 1
  end
end
save()
if any then call('PUBLISH', T..':wake', '') end
return answers
