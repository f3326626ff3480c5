-- open: the epoch of this shard, made when nothing is here yet. Sent without lib/, which asks for the epoch.
-- KEYS[1]  the shard's tag    ARGV  1 the epoch to begin with, '' to begin none
-- returns  the epoch, or false

local key = KEYS[1]..':epoch'
local known = redis.call('GET', key)
if known or ARGV[1] == '' then return known end
redis.call('SET', key, ARGV[1])
-- The server that the data begin on; data without one are not new, but have lost it. See incarnation in lib/gate.lua.
redis.call('HSET', KEYS[1]..':inc', 'id', string.match(redis.call('INFO', 'server'), 'run_id:(%w+)'), 'n', 0)
-- These hold something short of each message in flight. Redis packs a hash of short values into a list and searches that from its
-- start, until 512 are in it, and a zset of short names until 128 are; one of more than 64 bytes makes it a table at once. Without
-- them all goes on, only slower.
local long = string.rep(' ', 65)
for _, name in ipairs({ 'pair', 'posts' }) do redis.call('HSET', KEYS[1]..':'..name, '', long) end
redis.call('ZADD', KEYS[1]..':lease', '+inf', long)
return ARGV[1]
