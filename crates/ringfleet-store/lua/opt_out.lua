-- opt_out: who wants no texts. Every entry stands for itself: lifting one lifts no wider and no narrower one.
-- ARGV     3 'set', then four each: extension ('' = every one), from ('*' = any of its numbers), to, 1 out | 0 in again
--          3 'lift', 4 revision, then three each: extension, from, to. Only what is older than the revision
--          3 'ask', 4 extension, 5 from, 6 to
--          3 'list', 4 revision after which, 5 at most so many, 6 '1' where those of every extension are told too
-- returns  set, lift: 1;  ask: 1 out | 0;  list: { 1 there is more | 0, revision up to which, then of each: revision, entry }

if ARGV[3] == 'ask' then return is_out(ARGV[4], ARGV[5], ARGV[6]) and 1 or 0 end

if ARGV[3] == 'set' then
  for i = 4, #ARGV, 4 do
    if ARGV[i + 3] == '0' then
      call('ZREM', OUT, ARGV[i]..'\0'..ARGV[i + 1]..'\0'..ARGV[i + 2])
    else
      opt_out(ARGV[i], ARGV[i + 1], ARGV[i + 2])
    end
  end
  save()
  return 1
end

-- SEND-SAFETY: what was entered later stays, because who asked for texts has not heard of it.
if ARGV[3] == 'lift' then
  local later = tonumber(ARGV[4])
  for i = 5, #ARGV, 3 do
    local name = ARGV[i]..'\0'..ARGV[i + 1]..'\0'..ARGV[i + 2]
    local rev = call('ZSCORE', OUT, name)
    if rev and tonumber(rev) < later then call('ZREM', OUT, name) end
  end
  save()
  return 1
end

local out, most = { 0, ARGV[4] }, tonumber(ARGV[5])
local found = call('ZRANGEBYSCORE', OUT, '(' .. ARGV[4], '+inf', 'WITHSCORES', 'LIMIT', 0, most + 1)
for i = 1, #found, 2 do
  if (i - 1) / 2 >= most then
    out[1] = 1
    break
  end
  out[2] = ms(tonumber(found[i + 1]))
  -- Those of every extension stand on every shard; one of them tells.
  if ARGV[6] == '1' or sub(found[i], 1, 1) ~= '\0' then
    out[#out + 1] = out[2]
    out[#out + 1] = found[i]
  end
end
return out
