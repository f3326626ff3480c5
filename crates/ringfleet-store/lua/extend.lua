-- extend: a living worker keeps its leases.
-- ARGV     3 lease in ms, then id, token of each
-- returns  one integer each: 1 kept, 0 no longer held

local answers, ids = {}, arguments(4, 2)
fetch(F, ids)
fetch(LEASE, ids)
for i = 4, #ARGV, 2 do
  local f = read_flight(ARGV[i])
  local ends = f and tonumber(get(LEASE, ARGV[i]))
  -- SEND-SAFETY: a lease that ended stays ended, or begin_send's fence could be undone by a worker that was frozen.
  if f and f.token == tonumber(ARGV[i + 1]) and ends and ends > now then
    set(LEASE, ARGV[i], ms(now + tonumber(ARGV[3])))
    answers[#answers + 1] = 1
  else
    answers[#answers + 1] = 0
  end
end
save()
return answers
