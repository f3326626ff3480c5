-- What a script changes of the keys that hold something of every message is kept back until `save`, and goes out as one
-- command a key however many messages it is of; `fetch` reads as many at once. A script that fails before has changed none of
-- them.
-- SEND-SAFETY: no script answers before `save`, so that nobody posts on an intent, or forgets a send, that is not written.
-- They are read and written only through here, but for reads by range, which see what was saved.

local HASH = { read_one = 'HGET', read = 'HMGET', write = 'HSET', remove = 'HDEL' }
local ZSET = { read_one = 'ZSCORE', read = 'ZMSCORE', write = 'ZADD', remove = 'ZREM' }
local AT_ONCE = 500 -- arguments of one command; Lua's stack ends at 8,000

local all_kept = {}
local function kept(name, kind)
  -- `changed`: names, and how many; one that changes twice stands there twice.
  local K = { key = T..':'..name, kind = kind, known = {}, changed = {}, changes = 0 }
  all_kept[#all_kept + 1] = K
  return K
end

local M, F, PAIR = kept('m', HASH), kept('f', HASH), kept('pair', HASH)
local LEASE, SCHED, EXP, FIN = kept('lease', ZSET), kept('sched', ZSET), kept('exp', ZSET), kept('fin', ZSET)
local READYZ, DUE, LANES, POSTS = kept('ready', ZSET), kept('due', ZSET), kept('lane', HASH), kept('posts', HASH)

-- A hash's value or a zset's score, as text; false when there is none.
local function get(K, name)
  local value = K.known[name]
  if value == nil then
    value = call(K.kind.read_one, K.key, name) or false
    K.known[name] = value
  end
  return value
end

-- Every `step`-th argument from `first` on: the ids of a batch.
local function arguments(first, step)
  local found = {}
  for i = first, #ARGV, step do found[#found + 1] = ARGV[i] end
  return found
end

-- So that `get` needs no command for any of these.
local function fetch(K, names)
  local known, missing, n = K.known, {}, 0
  for i = 1, #names do
    local name = names[i]
    if known[name] == nil then
      n = n + 1
      known[name], missing[n] = false, name
    end
  end
  for at = 1, n, AT_ONCE do
    local last = min(at + AT_ONCE - 1, n)
    local values = call(K.kind.read, K.key, unpack(missing, at, last))
    for i = at, last do known[missing[i]] = values[i - at + 1] end
  end
end

local function set(K, name, value)
  local changes = K.changes + 1
  K.known[name], K.changed[changes], K.changes = value, name, changes
end

local function unset(K, name) set(K, name, false) end

local function flush(K)
  local scored = K.kind == ZSET
  local writes, removals, w, r = { K.kind.write, K.key }, { K.kind.remove, K.key }, 2, 2
  local known, changed = K.known, K.changed
  for i = 1, K.changes do
    local name = changed[i]
    local value = known[name]
    if not value then
      r = r + 1
      removals[r] = name
      if r > AT_ONCE then
        call(unpack(removals, 1, r))
        r = 2
      end
    else
      w = w + 2
      if scored then
        writes[w - 1], writes[w] = value, name
      else
        writes[w - 1], writes[w] = name, value
      end
      if w > AT_ONCE then
        call(unpack(writes, 1, w))
        w = 2
      end
    end
  end
  if w > 2 then call(unpack(writes, 1, w)) end
  if r > 2 then call(unpack(removals, 1, r)) end
  K.changed, K.changes = {}, 0
end
