-- delivery: what became of sent messages, which the provider tells later.
-- ARGV     3 'take', 4 lanes at most, 5 ms until another one may take the same lane
--          3 'record', 4 lane, then four each: provider id, 1 delivered | 0 failed, code, 1 its recipient has opted out | 0
-- returns  take: of each lane: name, since when its oldest may have been sent, how many wait
--          record: two each: 1 done | 2 told before | 3 too late | 4 unknown, message ('' unless it is done)
-- bounded: a look costs the same however many wait.

local RARELY, REMEMBERED = 3600000, 3600000

if ARGV[3] == 'take' then
  local out = {}
  if REPORT_WAIT == 0 then return out end
  for _, name in ipairs(call('ZRANGEBYSCORE', LOOK, '-inf', now, 'LIMIT', 0, tonumber(ARGV[4]))) do
    local waiting = T..':wait:'..name
    local open = '(' .. ms(GIVEN_UP)
    local first = call('ZRANGEBYSCORE', waiting, open, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
    if first then
      -- Soon after the last send, then ever rarer: after as long again as it is ago.
      local last = tonumber(call('ZRANGE', waiting, -1, -1, 'WITHSCORES')[2])
      local pause = min(max(now - last, FIRST_REPORT), RARELY)
      local locked = now + tonumber(ARGV[5])
      local L = lane_of(name)
      plan_report_look(L, max(now + pause, locked))
      L.reports_locked = locked
      out[#out + 1] = name
      out[#out + 1] = ms(tonumber(first))
      out[#out + 1] = call('ZCOUNT', waiting, open, '+inf')
    else
      -- The reaper forgets them.
      call('ZREM', LOOK, name)
      local L = lane_of(name)
      L.report_look = nil
      keep(L)
    end
  end
  save()
  return out
end

local name, answers = ARGV[4], {}
local waiting, told = T..':wait:'..name, T..':told:'..name
local function answer(what, id)
  answers[#answers + 1] = what
  answers[#answers + 1] = id or ''
end

for i = 5, #ARGV, 4 do
  local provider_id, code = ARGV[i], ARGV[i + 2]
  local since = tonumber(call('ZSCORE', waiting, provider_id))
  if not since then
    local at = tonumber(call('ZSCORE', told, provider_id))
    answer(at and at > now - REMEMBERED and 2 or 4)
  elseif since <= GIVEN_UP then
    answer(3)
  else
    local id = call('HGET', T..':waitid:'..name, provider_id)
    local m = id and read_message(id)
    local was = m and note_of(m)
    forget_report(lane_of(name), provider_id)
    -- A record that is gone, or another one under the same key.
    if not m or m.state ~= SENT or m.lane ~= name or was.provider_id ~= provider_id then
      answer(4)
    else
      m.state = ARGV[i + 1] == '1' and DELIVERED or DELIVERY_FAILED
      m.note = was.code .. '|' .. provider_id .. '|' .. ms(was.at) .. '|' .. ms(was.token) .. '|'
        .. (was.intent > 0 and ms(was.intent) .. '|' .. was.reads or '|') .. '|' .. ms(now) .. '|' .. code
      write_message(m)
      set(FIN, id, NOW)
      count(SENT, -1)
      count(m.state, 1)
      call('ZADD', told, now, provider_id)
      -- SEND-SAFETY: noted with the first report alone, so that one that is read again does not undo an opt-in that came since. A
      -- record made of what a worker knew has no numbers.
      local from, to = numbers_of(m)
      if ARGV[i + 3] == '1' and to ~= '' then opt_out(extension_of(m), from, to) end
      answer(1, id)
    end
  end
end
if #answers > 0 then
  index_reports(lane_of(name))
  call('ZREMRANGEBYSCORE', told, '-inf', now - REMEMBERED)
  call('PEXPIRE', told, REMEMBERED)
end
save()
return answers
