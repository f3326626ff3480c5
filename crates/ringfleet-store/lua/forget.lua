-- forget: with several shards, what the home of a key remembers ends with the message's record.
-- ARGV     3 'home', 4 ms for which a key stays reserved, then entries of `gone`: id and lane
--          3 'told', then entries of `gone` whose homes know it
-- returns  home: one integer an entry: 1 known, 0 not yet;  told: {}

if ARGV[3] == 'told' then
  for i = 4, #ARGV do call('ZREM', GONE, ARGV[i]) end
  return {}
end

local answers = {}
for i = 5, #ARGV do
  local id, lane = sub(ARGV[i], 1, 16), sub(ARGV[i], 17)
  local key = T..':reg:'..id
  local ours = call('GET', key) == lane
  -- SEND-SAFETY: whoever asked for it lately may be about to use it anew in that lane; forgotten, it could be used in another lane
  -- beside it. One that belongs to another lane has a record there.
  local reserved = ours and (tonumber(call('ZSCORE', ASKED, id)) or 0) > now - ARGV[4]
  if ours and not reserved then call('DEL', key) end
  answers[#answers + 1] = reserved and 0 or 1
end
return answers
