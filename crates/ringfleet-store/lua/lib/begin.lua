-- Shared by every script: each is sent to Redis as the files of lib/ in the order of scripts.rs, then its own. This one: what
-- is kept where, the caller's rules and the fleet's time.
--
-- KEYS[1]  the shard's tag, e.g. {rf:0}. Every key below is built from it, so that a script stays inside one
--          Cluster slot although it finds its lanes only while it runs.
-- ARGV[1]  '0', or the time in ms that tests set by hand
-- ARGV[2]  the caller's rules, 8 bytes each: limit, window in ms of heavy, medium, light, auth; the in-flight cap of a lane;
--          how long a worker is waited for after a restart of the store, in ms; how long a sent message waits for its
--          delivery report, in ms (0 = not at all). Then the epoch that the caller knows.
--
-- Records
--   m     hash  id -> blob: state, priority, attempt, recoveries, what to do when its fate is unknown (1 byte each; the last
--               plus 128 when it has times of its own), created (6), the first 8 bytes of its fingerprint, those times
--               (send_at, send_by, 6 each, 0 = none), then lane, from, to, note as zero-ended strings, then the text, as it is or
--               coded: see words.rs. Scripts only ask whether there is one.
--               A waiting message has state READY; standing in `sched` makes it scheduled, in `f` claimed or sending.
--   f     hash  id -> in flight: state (1), token, since, claim number, slots in use then, send_by (8 each), lane as a
--               zero-ended string, worker
--   lease zset  id -> end of its lease; and spaces -> +inf: see open.lua    sched zset  id -> time it becomes due
--   exp   zset  id -> send_by, while waiting     fin   zset  id -> when it came into its final state
--   ready zset  lane -> first instant at which it may send (see reindex)
--   due   zset  lane -> when its oldest waiting message became due
--   lane  hash  lane -> what is known of it: see lib/lanes.lua     posts  hash  lane -> its POSTs under way, if any
--   s:<lane>  zset  slot token -> time it is free
--   q:<lane>:<priority>  list of id (16 bytes) + due (8 bytes)         c  hash  state -> messages
--   pair  hash  from NUL to -> id of the message between them that is in flight or of unknown fate; more than one id only
--               where late evidence told of a second one; and '' -> spaces, as in posts: see open.lua
--   unk   zset  lane -> when its unknown messages are looked at next   u:<lane>  zset  id -> since when its fate is unknown
--   doc:<kind>  hash  key -> rev, changed, end (8 each, 0 = none), body    docrev:<kind>  zset  key -> rev, also of those gone
--   docend  zset  kind/key -> end    docgone  zset  kind/key -> rev of its removal    docfloor  hash  kind -> the greatest
--               revision of a removal that is forgotten
--   wait:<lane>  zset  provider id -> since when it may have been sent, of sent messages that wait for a delivery report
--   waitid:<lane>  hash  provider id -> message, of the same    told:<lane>  zset  provider id -> when its report came, of an
--               hour
--   look  zset  lane -> when its reports are looked for next    oldest  zset  lane -> the earliest time in its wait (both stand
--               in its lane too, so that a send which changes neither writes neither)
--   out   zset  extension NUL from NUL to -> revision: who wants no texts. No extension = of every one, from '*' = any number
--   k:<lane>  zset  provider id -> when it was credited to a message, of the last 15 minutes or since the lane has sends under
--               way or unknown ones, but for those in wait; gone a day after its last use
--   seq   the last token given out   clock  hash hw, off, steps (see below)   epoch  format:name   inc  hash id, n, at
--   tok:<extension>  hash  of its session: gen, tok, exp, ren, of its renewal: who, lock, dead  the refused credentials,
--               resumed  the newest token when its lane was let go on last
--   shadows  zset  lane -> since when more of what has ended stands in its queues than was taken away: see lib/moves.lua
--   asleep  zset  lane -> when a message of it that is sent again, and was put off, becomes due: see lib/moves.lua
--   in:<state>  zset  id -> since when, of messages that are held, dead or of unknown fate
--   gate  hash stop, until, lost, and their reasons    workers  hash  worker -> when last seen, the incarnation it has told its
--               sends to
--   shards  how many there are, in the first one
--   With several shards, at the key's home:  reg:<id>  the lane that a key is used for    asked  zset  id -> when its key was
--               asked for, of the last minutes
--   and at the lane's:  gone  zset  id and lane of a message whose record is gone, of which its key's home does not know yet
--               -> when that is told next
--   w:<worker>  the number of its last claim and what it gave
--   junk  hash  id, or name of a queue or a window -> what can't be read
-- A note is code|provider id|time|token|intent|reads; the last two only where a send's fate is or was unknown. A waiting
-- message has a note only after its fate was found out: its token is the last whose story is closed; or, with that token, once
-- it was put off to the end of its recipient's quiet hours (code quiet-hours), which is then the time.

local T = KEYS[1]
local SCHEDULED, READY, CLAIMED, SENDING, SENT = 1, 2, 3, 4, 5
local REJECTED, EXPIRED, CANCELLED, DEAD, HELD, UNKNOWN, SUPPRESSED = 6, 7, 8, 9, 10, 11, 12
local DELIVERED, DELIVERY_FAILED = 13, 14
local RECONCILE, HOLD, RESEND = 0, 1, 2
local IN_USE = 9000000000000000 -- score of a slot whose request is under way
local IN_USE_TEXT = '9000000000000000'
local HEAD = '>BBBBBI6' -- and 8 bytes of the fingerprint
local AFTER_HEAD = 20
local OWN_TIMES = 128
local ANY_QUEUE = 7 -- bits of all priorities
local MOST_SENDS = 5 -- of one message that is sent again because its policy says so
local CREDIT_MS = 900000
-- How long a lane's slots outlive their last use, in ms. Redis' deadlines follow its clock, not the fleet's time: hours
-- that it steps forward by must not end a window.
local SLOTS_KEPT = 86400000
local TOKENS_A_MS = 2048 -- a token tells the time at which it was given out
local FLIGHT = '>BI8I8I8I8I8s'

-- Looked up once, not in a table of Lua's each time: a script is on every message's way.
local call, format, match, sub, byte, char = redis.call, string.format, string.match, string.sub, string.byte, string.char
local pack, unpack_of, max, min, floor = struct.pack, struct.unpack, math.max, math.min, math.floor

-- Whole numbers as Redis takes them. A number that is given as such is printed as a fraction first, which takes several times
-- as long, so that the calls on every message's way are given text. A script says most of its numbers more than once.
local texts = {}
local function ms(n)
  local text = texts[n]
  if not text then
    text = format('%d', n)
    texts[n] = text
  end
  return text
end

local COUNTS, SEQ, GATE, UNK, CLOCK, OUT = T..':c', T..':seq', T..':gate', T..':unk', T..':clock', T..':out'
local LOOK, OLDEST, SHADOWS, GONE, ASKED = T..':look', T..':oldest', T..':shadows', T..':gone', T..':asked'
local ASLEEP = T..':asleep'
local DOC_ENDS, DOC_GONE, DOC_FLOOR = T..':docend', T..':docgone', T..':docfloor'

-- SEND-SAFETY: a store that was flushed or exchanged has forgotten what was sent. Nobody goes on with it unawares.
local epoch = call('GET', T..':epoch')
if epoch ~= sub(ARGV[2], 89) then
  return redis.error_reply((epoch and 'EPOCH' or 'NOEPOCH') .. ' this is not the data that the caller began with')
end

-- The fleet's time never goes back and never stands still: when the server's clock steps back by more than a second,
-- `off` makes up for it, and is then taken back at a tenth of the time that passes, and at once, as far as it can be, when time
-- leaps by more than five seconds: most likely the clock was put right. Living workers ask twice a second.
-- SEND-SAFETY: a fleet that is ahead of the provider for long writes intents before which a text is not looked for.
local now, clock
if ARGV[1] ~= '0' then
  now = tonumber(ARGV[1])
else
  local t = call('TIME')
  local c = call('HMGET', CLOCK, 'hw', 'off')
  local high, off = tonumber(c[1]) or 0, tonumber(c[2]) or 0
  local told = t[1] * 1000 + floor(t[2] / 1000)
  now = told + off
  if off > 0 and now > high + 5000 then
    off = max(0, high + 1000 - told) -- the mark is a second old at most
    now = told + off
    clock = { 'HSET', CLOCK, 'hw', ms(now), 'off', ms(off) }
  elseif now < high - 1000 then
    off = off + high - now
    now = high
    clock = { 'HSET', CLOCK, 'off', ms(off), 'steps', (tonumber(call('HGET', CLOCK, 'steps')) or 0) + 1 }
  elseif now > high + 1000 then
    local back = high > 0 and min(off, floor((now - high) / 10)) or 0
    now = now - back
    clock = { 'HSET', CLOCK, 'hw', ms(now) }
    if back > 0 then
      clock[5] = 'off'
      clock[6] = ms(off - back)
    end
  end
end

local NOW = ms(now)
local AFTER_NOW = '(' .. NOW

local rule = { unpack_of('>I8I8I8I8I8I8I8I8I8I8I8', ARGV[2]) }
local DEFAULT = { heavy = 1, medium = 3, light = 5, auth = 7 }
local CAP = rule[9]
local REPORT_WAIT = rule[11]
local FIRST_REPORT = 30000 -- reports are looked for so long after a send

