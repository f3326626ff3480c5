-- slot: a place in a lane's window for a request that is no message (a login, a read of the message store).
-- ARGV     3 'acquire', 4 lane, 5 how long the request may take at most, in ms
--          3 'release', 4 lane, 5 token, 6 used|unused|throttled, 7 age in ms, 8 delay in ms, 9 limit, 10 window in ms
-- returns  acquire: { token, 0 } or { 0, ms to wait };  release: {}

local L = lane_of(ARGV[4])
touch(L)
if ARGV[3] == 'acquire' then
  -- SEND-SAFETY: (of the plan) as in begin_send: others' requests may lie in the moment that a restarted store has lost.
  incarnation()
  -- A slot whose request is under way may be free one window after now: nobody is told to wait until it must be over.
  local free_at = min(window_free_at(L), now + 1 + hold_of(L))
  local login = match(L.name, '/auth$') ~= nil
  local at = max(L.pen, free_at, gate_until(login) or 0)
  if at > now then
    save()
    return { 0, min(at - now, 60000) }
  end
  local token = take_slot(L)
  -- Nobody reaps these: the slot frees itself when the request must be over, and a window after that.
  on_slots(L, 'ZADD', now + tonumber(ARGV[5]) + hold_of(L), ms(token))
  save()
  return { token, 0 }
end

local token, how = tonumber(ARGV[5]), ARGV[6]
if how == 'unused' then drop_slot(L, token) else time_slot(L, token, tonumber(ARGV[7])) end
if how == 'throttled' then
  L.pen = max(L.pen, now + tonumber(ARGV[8]))
end
local limit, window = tonumber(ARGV[9]), tonumber(ARGV[10])
learn_plan(L, limit, window)
save()
return {}
