-- watch: a worker is there. Asks whether the store has lost a moment, and says up to which loss it has told its sends.
-- ARGV     3 worker, 4 incarnation it has told its sends to, 5 '1' when it goes for good, if it has told all
-- returns  { incarnation, steps back of the server's clock }

local n, told_to = incarnation(), tonumber(ARGV[4])
-- SEND-SAFETY: it has told of a loss that this store does not know of: a server with older data serves again, as one that was
-- replaced for a while and never restarted.
if told_to > n then n = lose(told_to) end
local has_told = told_to >= n
-- SEND-SAFETY: one that goes without having told what a lost moment held is waited for: nobody else may know.
if ARGV[5] == '1' and has_told then
  call('HDEL', WORKERS, ARGV[3])
else
  call('HSET', WORKERS, ARGV[3], ms(now) .. ' ' .. ARGV[4])
end

-- SEND-SAFETY: an API or a command line may have noticed the restart first, whose configuration says less of the workers than
-- their own: as long as this one has not told, all wait as long as it says.
local closed = closed_at()
local lost = tonumber(call('HGET', GATE, 'lost'))
if lost and not has_told and closed + rule[10] > max(lost, now) then
  lost = closed + rule[10]
  call('HSET', GATE, 'lost', ms(lost))
end

-- SEND-SAFETY: the gate that a restart closed opens when nobody is left who might know of a send that the store has lost; not
-- before every living worker must have been heard, because this store may have lost the moment in which it was heard first.
if lost and lost > now and now >= closed + min(4000, rule[10]) then
  local missing = false
  local all = call('HGETALL', WORKERS)
  local newest = 0 -- the last moment before the restart in which anybody was there
  for i = 2, #all, 2 do
    local seen = tonumber(match(all[i], '^%d+'))
    if seen < closed and seen > newest then newest = seen end
  end
  for i = 2, #all, 2 do
    local seen, told = match(all[i], '^(%d+) (%d+)$')
    if tonumber(told) < n then
      -- One that was gone long before the others says nothing any more.
      if tonumber(seen) < closed and tonumber(seen) < newest - rule[10] then
        call('HDEL', WORKERS, all[i - 1])
      else
        missing = true
      end
    end
  end
  if not missing then
    call('HDEL', GATE, 'lost')
    call('PUBLISH', T..':wake', '')
  end
elseif now % 61 == 0 then
  -- The dead are forgotten after a day. Not by chance: Redis 6.2 draws the same number in each script.
  local all = call('HGETALL', WORKERS)
  for i = 2, #all, 2 do
    if tonumber(match(all[i], '^%d+')) < now - 86400000 then call('HDEL', WORKERS, all[i - 1]) end
  end
end
save()
return { n, tonumber(call('HGET', CLOCK, 'steps')) or 0 }
