-- Messages, their notes, and where they stand in flight.

local function parse(id, blob)
  local state, prio, attempt, recov, policy, created = unpack_of(HEAD, blob)
  local send_at, send_by, at = 0, 0, AFTER_HEAD
  if policy >= OWN_TIMES then
    policy = policy - OWN_TIMES
    send_at, send_by, at = unpack_of('>I6I6', blob, at)
  end
  local lane, from, to, note, text_at = unpack_of('ssss', blob, at)
  -- Lua's tables have room for 16 fields or for 32: one more of these few is a table of twice the size.
  return {
    id = id, blob = blob, state = state, prio = prio, attempt = attempt, recov = recov, policy = policy, created = created,
    send_at = send_at, send_by = send_by, lane = lane, pair = from .. '\0' .. to, note = note,
    -- Where they stand in the blob; the text is not taken out of it.
    note_at = text_at - #note - 1, text_at = text_at,
  }
end

local function has_text(m) return m.text_at <= #m.blob end
local function forget_text(m) m.text_at = #m.blob + 1 end

local messages = {} -- those that were read: one table a message, however often it is asked for

-- Nil for one that is not there; nil and the blob for one that is no message.
local function read_message(id)
  local blob = get(M, id)
  if not blob then return nil end
  if messages[id] then return messages[id] end
  local readable, m = pcall(parse, id, blob)
  if not readable then return nil, blob end
  local group = match(m.lane, '^[^/]+/[^/]+/(%l+)$')
  -- The time tells a record of another format: its fields lie elsewhere.
  local sound = DEFAULT[group or ''] and m.state >= 1 and m.state <= DELIVERY_FAILED and m.prio <= 2 and m.policy <= RESEND
    and m.created > 0 and m.created < 100000000000000
  if not sound then return nil, blob end
  messages[id] = m
  return m
end

-- SEND-SAFETY: recipient and text are the bytes that were taken in, whatever becomes of a message. Only its first four bytes and
-- its note ever change, and its text may go.
local function write_message(m)
  messages[m.id] = m
  local blob = m.blob
  set(M, m.id, char(m.state, m.prio, m.attempt, m.recov) .. sub(blob, 5, m.note_at - 1) .. m.note .. '\0' .. sub(blob, m.text_at))
end

local function forget_message(id)
  messages[id] = nil
  unset(M, id)
end

local flights = {} -- as messages

local function read_flight(id)
  local raw = get(F, id)
  if not raw then return nil end
  if flights[id] then return flights[id] end
  -- One that can't be read holds up itself alone: see reap.
  local readable, state, token, since, cnt, used, send_by, lane, at = pcall(unpack_of, FLIGHT, raw)
  if not readable then return nil end
  local f = {
    state = state, token = token, since = since, cnt = cnt, used = used, send_by = send_by, lane = lane,
    worker = sub(raw, at),
  }
  flights[id] = f
  return f
end

local function write_flight(id, f)
  flights[id] = f
  set(F, id, pack(FLIGHT, f.state, f.token, f.since, f.cnt, f.used, f.send_by, f.lane) .. f.worker)
end

local moved = {}
local function count(state, by) moved[state] = (moved[state] or 0) + by end

local function extension_of(m) return match(m.lane, '^[^/]+/([^/]+)/') end

-- Whether the provider accepted it, whatever became of it since.
local function was_sent(m) return m.state == SENT or m.state == DELIVERED or m.state == DELIVERY_FAILED end

local NO_NOTE = { code = '', provider_id = '', at = 0, intent = 0, reads = 0 }

-- Only to be read, but for that of a send whose fate is unknown.
local function note_of(m)
  if m.note == '' then return NO_NOTE end
  local code, provider_id, at, token, intent, reads =
    match(m.note, '^([^|]*)|([^|]*)|(%d*)|(%d+)|?(%d*)|?(%d*)')
  return { code = code or '', provider_id = provider_id or '', token = tonumber(token), at = tonumber(at) or 0,
    intent = tonumber(intent) or 0, reads = tonumber(reads) or 0 }
end
local function token_of(m) return note_of(m).token end

-- The end of the quiet hours that a waiting message was put off to; 0 = it was not.
local QUIET = 'quiet-hours'
local function put_off_to(m)
  return sub(m.note, 1, #QUIET + 1) == QUIET .. '|' and note_of(m).at or 0
end

local function due_of(m) return max(m.created, m.send_at, put_off_to(m)) end

local function write_note(m, code, provider_id, token, intent, reads, at)
  m.note = code .. '|' .. provider_id .. '|' .. (at and ms(at) or NOW) .. '|' .. ms(token)
  if intent and intent > 0 then m.note = m.note .. '|' .. ms(intent) .. '|' .. reads end
end

-- A record that is no message must not stop the others. It is kept aside for a person, and counts as dead.
local function put_aside(id, blob, was)
  call('HSET', T..':junk', id, blob)
  forget_message(id)
  count(was, -1)
  count(DEAD, 1)
end

-- Where a message really is: waiting ones are told apart by where they stand.
local function state_now(m)
  if m.state ~= READY then return m.state end
  local f = read_flight(m.id)
  if f then return f.state end
  return get(SCHED, m.id) and SCHEDULED or READY
end

