-- reserve: with several shards, a key's home remembers the lane that it is used for, because another lane may live on another
-- shard. Sent before enqueue, to the shard of the id.
-- ARGV     3 ms to remember, 4 for so many ms a key counts as asked for, then two a message: id, lane
-- returns  one integer a message: 1 this lane, 0 the key belongs to another lane

local answers, asked = {}, { 'ZADD', ASKED }
for i = 5, #ARGV, 2 do
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
if #asked > 2 then
  call(unpack(asked))
  -- As many as come are let go, or a quick producer is ahead of the reapers for good.
  local old = call('ZRANGEBYSCORE', ASKED, '-inf', now - tonumber(ARGV[4]), 'LIMIT', 0, #asked)
  if #old > 0 then call('ZREM', ASKED, unpack(old)) end
end
return answers
