-- changes: what has ended or is held, in the order in which it came to that, the oldest first; see changes.rs.
-- ARGV     3 at most so many, 4 ms that a change must be old, then where to read on: 5 time, 6 id; without them nothing is told
-- returns  { now, 1 = there may be more, at, id of the last one that was looked at ('' = none), then at, id, blob, ... }
-- bounded: looks at twice as many places at most.

local limit, until_at = tonumber(ARGV[3]), now - tonumber(ARGV[4])

-- A member as long as an id is: junk stands at a place too, and is passed over.
local function as_id(member) return #member == 16 and member or sub(member..string.rep('\0', 16), 1, 16) end

-- The rank of the first member behind (at, id), which need not stand there any more. view.lua has its mirror image: in lib/ each
-- script of a message's way would pay for it. Those of one instant stand in the order of
-- their bytes; Lua's own order of strings may be another.
local function rank_behind(key, at, id)
  local low = call('ZCOUNT', key, '-inf', '(' .. at)
  local high = low + call('ZCOUNT', key, at, at)
  local a, b, c = unpack_of('>I6I6I4', id)
  while low < high do
    local middle = floor((low + high) / 2)
    local x, y, z = unpack_of('>I6I6I4', as_id(call('ZRANGE', key, middle, middle)[1]))
    if x > a or x == a and (y > b or y == b and z > c) then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

-- Those behind that are old enough, as { at, id, whether it is one } each.
local function behind(key)
  local first, found = rank_behind(key, ARGV[5], ARGV[6]), {}
  local ranked = call('ZRANGE', key, first, first + limit - 1, 'WITHSCORES')
  for i = 1, #ranked, 2 do
    local at = tonumber(ranked[i + 1])
    if at > until_at then break end
    found[#found + 1] = { at, as_id(ranked[i]), #ranked[i] == 16 }
  end
  return found
end

local function comes_first(one, other)
  if one[1] ~= other[1] then return one[1] < other[1] end
  local a, b, c = unpack_of('>I6I6I4', one[2])
  local x, y, z = unpack_of('>I6I6I4', other[2])
  return a < x or a == x and (b < y or b == y and c < z)
end

local out = { NOW, 0, '', '' }
if ARGV[5] then
  local ended, held = behind(FIN.key), behind(T..':in:'..HELD)
  local e, h, some, ids = 1, 1, {}, {}
  while #some < limit and (ended[e] or held[h]) do
    local one
    if not held[h] or ended[e] and comes_first(ended[e], held[h]) then
      one, e = ended[e], e + 1
    else
      one, h = held[h], h + 1
    end
    some[#some + 1], ids[#ids + 1] = one, one[2]
  end
  if #some == limit then out[2] = 1 end
  fetch(M, ids)
  for _, one in ipairs(some) do
    local at, id = ms(one[1]), one[2]
    out[3], out[4] = at, id
    local m = one[3] and read_message(id)
    if m then
      out[#out + 1] = at
      out[#out + 1] = id
      out[#out + 1] = m.blob
    end
  end
end
-- The time that it was read at: see SETTLED_MS in changes.rs.
save()
return out
