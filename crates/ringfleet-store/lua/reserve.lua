-- reserve: with several shards, a key's home remembers the lane that it is used for, because another lane may live on another
-- shard. Sent before enqueue, to the shard of the id.
-- ARGV     3 ms to remember, then two a message: id, lane
-- returns  one integer a message: 1 this lane, 0 the key belongs to another lane

local answers, asked = {}, { 'ZADD', ASKED }
for i = 4, #ARGV, 2 do
  local key, lane = T..':reg:'..ARGV[i], ARGV[i + 1]
  local known = call('GET', key)
  if known and known ~= lane then
    answers[#answers + 1] = 0
  else
    call('SET', key, lane, 'PX', ARGV[3])
    asked[#asked + 1] = NOW
    asked[#asked + 1] = ARGV[i]
    answers[#answers + 1] = 1
  end
end
if #asked > 2 then call(unpack(asked)) end
return answers
