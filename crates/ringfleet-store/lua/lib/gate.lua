-- Restarts of the store, and the fleet's gate.

-- Workers that are there: name -> when last seen, and the incarnation they have told their sends to.
local WORKERS = T..':workers'

-- SEND-SAFETY: moments are lost of which the greatest known number is `known`: the fleet's gate closes. Returns their own number.
local function lose(known)
  -- A time, not a count: a store that has lost the last count would give it out again.
  local n = max(known + 1, now)
  -- Beside a penalty of the provider's, which goes on behind it.
  call('HSET', GATE, 'lost', ms(now + rule[10]))
  call('HSET', T..':inc', 'n', n, 'at', ms(now))
  return n
end

-- Notices that another server, or the same one after a restart, holds the data: its last moments may be lost.
-- SEND-SAFETY: in the same step the fleet's gate closes, until every worker that was there has told what it has sent (see
-- watch), or has stayed away for the patience of rule[10]; nothing that a lost moment made ready again is given out before.
-- Returns how often that has happened.
local function incarnation()
  local info = call('INFO', 'server')
  local _, before = string.find(info, 'run_id:', 1, true) -- quicker than a pattern that is tried at each letter
  local id = before and match(info, '^%w+', before + 1)
  local known = call('HMGET', T..':inc', 'id', 'n')
  local n = tonumber(known[2]) or 0
  if known[1] ~= id then
    n = lose(n)
    call('HSET', T..':inc', 'id', id)
  end
  return n
end

local function closed_at() return tonumber(call('HGET', T..':inc', 'at')) or 0 end

-- How long it stays closed after a restart, by the gate's field `lost`.
-- SEND-SAFETY: that stands until all have told. Whoever noticed the restart may have less patience than the caller, who is given
-- nothing before its own is over.
local function restarted_until(lost)
  if not lost then return 0 end
  return max(tonumber(lost), closed_at() + rule[10])
end

-- The gate: nil when open, else the time at which to ask again (IN_USE for a stop without an end). The kill switch lets a login
-- through: it sends nothing, and a connection that nobody renews for days is lost.
local function gate_until(login)
  local g = call('HMGET', GATE, 'stop', 'until', 'lost')
  if g[1] and not login then return IN_USE end
  local until_ms = max(tonumber(g[2]) or 0, restarted_until(g[3]))
  if until_ms > now then return until_ms end
  return nil
end

