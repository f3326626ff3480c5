-- doc: small records that the fleet shares, changed by compare-and-set, and noticed by those who keep copies.
-- ARGV     3 'get', 4 kind, 5 key
--          3 'put', 4 kind, 5 key, 6 'any', 'absent' or the revision that is expected, 7 'set' or 'remove', 8 body,
--            9 ms that it lives (0 = for good)
--          3 'since', 4 kind, 5 revision and 6 incarnation up to which was read (0 and 0 = nothing yet), 7 at most so many,
--            8 bytes of bodies after which the answer is cut, 9 the newest token when this reading began (0 = nothing yet)
-- returns  get: {} or { rev, changed at, body };  put: { 1 done, rev } or { 0 conflict, then as get }
--          since: { 1 that was all | 2 there is more | 0 begin anew, incarnation, revision up to which this reads, the newest
--            token when the reading began, then of each: key, rev, changed at ('' = it is gone), body }
-- invariant: every key that was ever put stands in `rev` with the revision of its last change, a removed one until its
-- removal is forgotten.

local kind, key = ARGV[4], ARGV[5]
local DOCS, REVS = T..':doc:'..kind, T..':docrev:'..kind
local name = kind..'/'..key

-- One whose time is over is gone, also before the reaper came.
local function read(of)
  local raw = call('HGET', DOCS, of)
  if not raw then return nil end
  local d, at = {}, nil
  d.rev, d.changed, d.ends, at = unpack_of('>I8I8I8', raw)
  if d.ends > 0 and d.ends <= now then return nil end
  d.body = sub(raw, at)
  return d
end

local function told(d, out)
  if d then
    out[#out + 1] = ms(d.rev)
    out[#out + 1] = ms(d.changed)
    out[#out + 1] = d.body
  end
  return out
end

if ARGV[3] == 'get' then return told(read(key), {}) end

if ARGV[3] == 'put' then
  local known = read(key)
  local expected = ARGV[6]
  local fits = expected == 'any' or (expected == 'absent' and not known) or (known and known.rev == tonumber(expected))
  if not fits then return told(known, { 0 }) end
  local removes = ARGV[7] == 'remove'
  if removes and not known then return { 1, '0' } end
  -- On a full Redis a document that is there may be changed or removed: a refresh token that was used up must not stay.
  -- A new one is refused.
  if known then call('DEL', T..':nothing') end
  local rev, lives = next_token(), tonumber(ARGV[9])
  if removes then
    forget_doc(kind, key, rev)
  else
    local ends = lives > 0 and now + lives or 0
    call('HSET', DOCS, key, pack('>I8I8I8', rev, now, ends) .. ARGV[8])
    call('ZADD', REVS, ms(rev), key)
    call('ZREM', DOC_GONE, name)
    if ends > 0 then call('ZADD', DOC_ENDS, ms(ends), name) else call('ZREM', DOC_ENDS, name) end
  end
  save()
  return { 1, ms(rev) }
end

call('DEL', T..':nothing')
local from, most, bytes = tonumber(ARGV[5]), tonumber(ARGV[7]), 0
local n = incarnation()
save()
local begun = from > 0 and tonumber(ARGV[9]) or tonumber(call('GET', SEQ)) or 0
if from > 0 then
  -- Changes that were read may be lost, or removals that were not read may be forgotten. What was removed before the reading
  -- began was never read.
  local floor = tonumber(call('HGET', DOC_FLOOR, kind)) or 0
  if n ~= tonumber(ARGV[6]) or floor > max(from, begun) then return { 0, ms(n), '0', '0' } end
end
local out = { 1, ms(n), ARGV[5], ms(begun) }
local found = call('ZRANGEBYSCORE', REVS, '(' .. ARGV[5], '+inf', 'WITHSCORES', 'LIMIT', 0, most + 1)
for i = 1, #found, 2 do
  if (i - 1) / 2 >= most or bytes >= tonumber(ARGV[8]) then
    out[1] = 2
    break
  end
  local d = read(found[i])
  out[#out + 1] = found[i]
  if d then
    told(d, out)
    bytes = bytes + #d.body
  else
    out[#out + 1] = ms(tonumber(found[i + 1]))
    out[#out + 1] = ''
    out[#out + 1] = ''
  end
  out[3] = ms(tonumber(found[i + 1]))
end
return out
