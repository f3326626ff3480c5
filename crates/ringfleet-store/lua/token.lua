-- token: one session of an extension for the whole fleet.
-- ARGV     3 'lease', 4 extension, 5 worker, 6 ms it must live, 7 generation known to be bad ('' = none),
--            8 fingerprint of the credential, 9 lock in ms
--          3 'store', 4 extension, 5 worker, 6 generation, 7 sealed token, 8 lifetime in ms
--          3 'failed', 4 extension, 5 worker, 6 fingerprint, 7 reason it is dead ('' = it is not)
-- returns  lease: { 1 valid | 2 renew | 3 busy | 4 dead, generation, sealed, expires at, ms to wait, reason }
--          store: 1 stored, 0 somebody else holds the renewal;  failed: 1
-- invariant: a token is renewed by one worker at a time, and a slow one never overwrites a newer session.

local key = T..':tok:'..ARGV[4]
local worker = ARGV[5]
local v = redis.call('HMGET', key, 'gen', 'tok', 'exp', 'who', 'lock', 'dead', 'why')
local gen, expires, lock = tonumber(v[1]) or 0, tonumber(v[3]) or 0, tonumber(v[5]) or 0
local held_by_other = v[4] and v[4] ~= worker and lock > now

if ARGV[3] == 'lease' then
  if v[6] and v[6] == ARGV[8] then return { 4, 0, '', '0', 0, v[7] or '' } end
  local bad = tonumber(ARGV[7])
  if v[2] and gen ~= bad and expires - now >= tonumber(ARGV[6]) then
    return { 1, gen, v[2], ms(expires), 0, '' }
  end
  if held_by_other then return { 3, 0, '', '0', lock - now, '' } end
  redis.call('HSET', key, 'who', worker, 'lock', now + tonumber(ARGV[9]))
  return { 2, gen, v[2] or '', ms(expires), 0, '' }
end

if ARGV[3] == 'store' then
  if gen ~= tonumber(ARGV[6]) or v[4] ~= worker then return 0 end
  redis.call('HSET', key, 'gen', gen + 1, 'tok', ARGV[7], 'exp', now + tonumber(ARGV[8]))
  redis.call('HDEL', key, 'who', 'lock', 'dead', 'why')
  return 1
end

-- One who lost the renewal may have been refused only because the winner's refresh ended its token: not heard.
if v[4] ~= worker then return 1 end
redis.call('HDEL', key, 'who', 'lock')
if ARGV[7] ~= '' then redis.call('HSET', key, 'dead', ARGV[6], 'why', ARGV[7]) end
return 1
