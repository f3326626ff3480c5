-- reserve: with several shards, a key's home remembers the lane it was first used for, because another lane may live on
-- another shard. Sent before enqueue, to the shard of the id.
-- ARGV     from 3 on, three a message: id, lane, ms to remember
-- returns  one integer a message: 1 this lane, 0 the key belongs to another lane

local answers = {}
for i = 3, #ARGV, 3 do
  local key = T..':reg:'..ARGV[i]
  if call('SET', key, ARGV[i + 1], 'NX', 'PX', ARGV[i + 2]) then
    answers[#answers + 1] = 1
  else
    answers[#answers + 1] = call('GET', key) == ARGV[i + 1] and 1 or 0
  end
end
return answers
