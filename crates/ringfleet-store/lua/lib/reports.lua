-- Delivery reports: which sent messages wait for one, and when a lane's are looked for. Those that wait no longer are credited.

-- When a report is given up. A caller that waits for none leaves those of others alone, as long as any of them may wait; should
-- nobody wait any more, they end all the same.
local LONGEST_WAIT = 30 * 86400000
local GIVEN_UP = now - (REPORT_WAIT > 0 and REPORT_WAIT or LONGEST_WAIT)

local awaited = {} -- lane -> the earliest time of those whose report is waited for from now on

local function plan_report_look(L, at)
  call('ZADD', LOOK, ms(at), L.name)
  L.report_look = at
  keep(L)
end

-- SEND-SAFETY: a store that is back without its last moments has not been told yet of the sends which it has lost: a lane that
-- looks idle may have some, and what was counted before an outage must not count for them. For so long after it nothing is
-- forgotten early.
local back
local function just_back()
  if back == nil then
    incarnation()
    back = now < closed_at() + CREDIT_MS
  end
  return back
end

-- SEND-SAFETY: a text of the provider's message store proves the sending of one message only, so those that were counted
-- for one are remembered for as long as another's fate may be unknown: for 15 minutes, and on while the lane has a send under
-- way or of unknown fate, or a message that waits to be sent again, for whose text is looked from its first intent on; up to a
-- day. While the whole fleet is away nothing is taken out, and the key outlives a day of that.
local function credit(L, provider_id)
  local key = T..':k:'..L.name
  call('ZADD', key, NOW, provider_id)
  if L.unk == 0 then
    if L.inf == 0 or L.cnt % 16 == 0 then
      call('ZREMRANGEBYSCORE', key, '-inf', now - (L.inf == 0 and not L.again and not just_back() and CREDIT_MS or SLOTS_KEPT))
    end
    call('PEXPIRE', key, SLOTS_KEPT)
  end
end

-- A token is made of its time: before that of its lease a text was certainly not sent, nor before the first intent.
local function await_report(L, m, provider_id, token, intent)
  local since = floor(token / TOKENS_A_MS)
  if intent > 0 then since = min(since, intent) end
  call('ZADD', T..':wait:'..L.name, ms(since), provider_id)
  call('HSET', T..':waitid:'..L.name, provider_id, m.id)
  awaited[L] = min(awaited[L] or since, since)
end

local function forget_report(L, provider_id)
  credit(L, provider_id)
  call('ZREM', T..':wait:'..L.name, provider_id)
  call('HDEL', T..':waitid:'..L.name, provider_id)
end

-- After some of a lane's reports are no longer waited for.
local function index_reports(L)
  local first = call('ZRANGE', T..':wait:'..L.name, 0, 0, 'WITHSCORES')[2]
  L.oldest_report = first and tonumber(first)
  keep(L)
  if first then
    call('ZADD', OLDEST, first, L.name)
  else
    L.report_look = nil
    call('ZREM', OLDEST, L.name)
    call('ZREM', LOOK, L.name)
  end
end

