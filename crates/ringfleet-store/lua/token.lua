-- token: one session of an extension for the whole fleet.
-- ARGV     3 'lease', 4 extension, 5 worker, 6 newest generation known to be bad (0 = none), 7 lock in ms, 8 '1' = renew it
--            although it is good, 9 lane whose sends use it, then the fingerprints of the credentials there are
--          3 'store', 4 extension, 5 worker, 6 generation before, 7 sealed token, 8 lifetime in ms, 9 ms until it is renewed
--          3 'release', 4 extension, 5 worker, 6 ms until somebody may try again
--          3 'refuse', 4 extension, 5 worker, 6 generation, 7 fingerprint, 8 reason, 9 ms since the request began
-- returns  lease: { 1 valid | 2 renew | 3 busy | 4 dead, generation, sealed, ms it lives, ms until it is renewed, ms to wait, sends
--            under way, then fingerprint and reason of each credential that was refused }
--          store: the new generation, 0 when somebody else holds the renewal;  release: 1;  refuse: 1 new, 2 known, 3 not heard
-- invariant: a token is renewed by one worker at a time, nobody is given one whose renewal has begun, and a slow worker never
-- overwrites a newer session. A generation is made like a lease token: none comes twice.

local key = T..':tok:'..ARGV[4]
local worker = ARGV[5]
local v = call('HMGET', key, 'gen', 'tok', 'exp', 'who', 'lock', 'dead', 'ren', 'resumed')
local gen, expires, lock = tonumber(v[1]) or 0, tonumber(v[3]) or 0, tonumber(v[5]) or 0
local renew_at = tonumber(v[7]) or expires
local who = v[4] or nil

-- One line each: fingerprint, blank, reason.
local refused = {}
for print, why in string.gmatch(v[6] or '', '([^ \n]+) ?([^\n]*)') do refused[#refused + 1] = { print, why } end
local function reason_of(print)
  for _, one in ipairs(refused) do
    if one[1] == print then return one[2] end
  end
end

if ARGV[3] == 'lease' then
  local answer
  local usable, told = false, {}
  for i = 10, #ARGV do
    local why = reason_of(ARGV[i])
    usable = usable or not why
    if why then
      told[#told + 1] = ARGV[i]
      told[#told + 1] = why
    end
  end
  -- One that nobody can renew is used to its end.
  local due = usable and renew_at or expires
  local held = who and lock > now
  local good = v[2] and gen > tonumber(ARGV[6]) and expires > now
  local wait = 0
  if good and due > now and not held and ARGV[8] ~= '1' then
    answer = 1
  elseif held and who ~= worker then
    answer, wait = 3, lock - now
  elseif not usable then
    answer = 4
  else
    call('HSET', key, 'who', worker, 'lock', ms(now + tonumber(ARGV[7])))
    answer = 2
  end
  local out = { answer, gen, v[2] or '', max(0, expires - now), max(0, due - now), wait,
    posts_of(ARGV[9]) }
  for _, text in ipairs(told) do out[#out + 1] = text end
  return out
end

if ARGV[3] == 'store' then
  if gen ~= tonumber(ARGV[6]) or who ~= worker then return 0 end
  seq = max(next_token(), gen + 1)
  call('HSET', key, 'gen', ms(seq), 'tok', ARGV[7], 'exp', ms(now + tonumber(ARGV[8])), 'ren', ms(now + tonumber(ARGV[9])))
  call('HDEL', key, 'who', 'lock')
  save()
  return seq
end

if ARGV[3] == 'release' then
  if who ~= worker then return 1 end
  call('HDEL', key, 'who', 'lock')
  local again = now + tonumber(ARGV[6])
  if v[2] and again > renew_at then call('HSET', key, 'ren', ms(again)) end
  return 1
end

-- One who lost the renewal may have been refused only because the winner's refresh ended its token: not heard.
if gen ~= tonumber(ARGV[6]) or (who and who ~= worker and lock > now) then return 3 end
-- Asked before the lane was let go on: the cause may be gone, and the next login tells.
if now - tonumber(ARGV[9]) < floor((tonumber(v[8]) or 0) / TOKENS_A_MS) then return 3 end
if reason_of(ARGV[7]) then return 2 end
refused[#refused + 1] = { ARGV[7], ARGV[8] }
local lines = {}
-- Credentials come and go; the oldest are forgotten.
for i = max(1, #refused - 7), #refused do lines[#lines + 1] = refused[i][1]..' '..refused[i][2] end
call('HSET', key, 'dead', table.concat(lines, '\n'))
return 1
