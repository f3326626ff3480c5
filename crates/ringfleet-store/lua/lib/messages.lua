-- Messages, their notes, and where they stand in flight.

local function parse(id, blob)
  local state, prio, attempt, recov, policy, created, fp, at = unpack_of(HEAD, blob)
  local send_at, send_by = 0, 0
  if policy >= OWN_TIMES then
    policy = policy - OWN_TIMES
    send_at, send_by, at = unpack_of('>I6I6', blob, at)
  end
  local lane, from, to, note, text_at = unpack_of('ssss', blob, at)
  return {
    id = id, blob = blob, state = state, prio = prio, attempt = attempt, recov = recov, policy = policy, created = created,
    send_at = send_at, send_by = send_by, fp = fp, lane = lane, from = from, to = to, note = note,
    -- '' when there is none; nil where it stands unread in the blob: few scripts need it.
    text = text_at > #blob and '' or nil, text_at = text_at,
  }
end

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

local function write_message(m)
  messages[m.id] = m
  local times, policy = '', m.policy
  if m.send_at > 0 or m.send_by > 0 then times, policy = pack('>I6I6', m.send_at, m.send_by), policy + OWN_TIMES end
  set(M, m.id,
    pack(HEAD, m.state, m.prio, m.attempt, m.recov, policy, m.created, m.fp) .. times
    .. pack('ssss', m.lane, m.from, m.to, m.note) .. (m.text or sub(m.blob, m.text_at)))
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
  local state, token, since, cnt, used, send_by, lane, at = unpack_of(FLIGHT, raw)
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

local function due_of(m) return max(m.created, m.send_at) end

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

