"""The Lua scripts that write to the lists of other frameworks, which get nothing of ours.

No token tells that a write was done. So each is told what it shall find, and as its first argument
whether it may have been run already, its answer lost: then it looks whether the list is as it would
have left it, and does nothing more. Whoever comes late finds another end, or another length.

The next arguments of all: '1' where new items are put in front; how many keys a conversation has:
its list, and where the layout has one the hash beside it.
"""

from typing import Final

from synmem.backends.redis.lua import writing

_COMMON: Final = """
newest = ARGV[2] == '1'
local again, step = ARGV[1] == '1', tonumber(ARGV[3])

-- A key of a conversation that is not of its type, and the type that it has.
local function odd_key(at)
  local kind = misfit(KEYS[at], 'list')
  if kind then return {'kind', KEYS[at], kind} end
  kind = step == 2 and misfit(KEYS[at + 1], 'hash')
  if kind then return {'kind', KEYS[at + 1], kind} end
end

-- What the hash beside a list says, once the list was added to; it passes with the list.
local function added_to(at, id, now, ttl)
  local list, hash = KEYS[at], KEYS[at + 1]
  if ttl > 0 then call('EXPIRE', list, ttl) end
  if step == 1 then return end
  call('HSET', hash, 'session_id', id)
  call('HSETNX', hash, 'created_at', now)
  call('HSET', hash, 'updated_at', now)
  align(list, hash)
end

local function drop(at)
  for key = at, at + step - 1 do call('DEL', KEYS[key]) end
end

-- Whether these stand in the list from an index on.
local function stand(list, first, items, from, count)
  local found = range(list, first, first + count - 1)
  if #found ~= count then return false end
  for i = 1, count do
    if found[i] ~= items[from + i - 1] then return false end
  end
  return true
end

-- Take away the oldest items, so many.
local function cut_front(list, count)
  if newest then call('LTRIM', list, 0, -count - 1) else call('LTRIM', list, count, -1) end
end
"""

APPEND: Final = writing(
    _COMMON
    + """
-- KEYS: of each part its keys
-- ARGV[4], ARGV[5], packed: ttl, keep (-1: all), now, parts;
-- of each: id, expected end, count, items
local given = unpacked(ARGV[4], ARGV[5])
local ttl, keep, now, parts = tonumber(given[1]), tonumber(given[2]), given[3], tonumber(given[4])

-- Whether an earlier try has brought these items, of which `keep` has left the last.
local function was_done(list, expected, from, count)
  if keep == 0 then return expected ~= '' and call('EXISTS', list) == 0 end
  if keep > 0 then
    local left = math.min(count, keep)
    local first = call('LLEN', list) - left
    if first < 0 or first + left > keep then return false end
    return stand(list, first, given, from + count - left, left)
  end
  local at = -1
  if expected ~= '' then at = find(list, expected) end
  return at ~= nil and stand(list, at + 1, given, from, count)
end

local done, undone, at = false, false, 5
for part = 1, parts do
  local key = (part - 1) * step + 1
  local odd = odd_key(key)
  if odd then return odd end
  local id, expected, count = given[at], given[at + 1], tonumber(given[at + 2])
  if expected ~= '*' and ending(KEYS[key]) ~= expected then
    if not (again and count > 0 and was_done(KEYS[key], expected, at + 3, count)) then
      return {'changed', id}
    end
    done = true
  elseif count > 0 then
    undone = true
  end
  if done and undone then return {'changed', id} end -- all are of one step
  at = at + 3 + count
end

local ends = {}
at = 5
for part = 1, parts do
  local key = (part - 1) * step + 1
  local list, id, count = KEYS[key], given[at], tonumber(given[at + 2])
  if count > 0 and not done then
    push(list, given, at + 3, at + 2 + count)
    added_to(key, id, now, ttl)
  end
  if keep == 0 then drop(key)
  elseif keep > 0 then cut_front(list, math.max(0, call('LLEN', list) - keep)) end
  ends[part] = ending(list)
  at = at + 3 + count
end
return {'done', table.concat(ends, '\\n')}
"""
)

CUT: Final = writing(
    _COMMON
    + """
-- KEYS: of a conversation
-- ARGV[4]: id;  [5]: how long its list is;  [6]: position with which it begins, or '*'
-- ARGV[7]: position up to which, or '*';  [8]: how many stand up to there;  [9]: the item behind it
-- ARGV[10], [11], packed: what takes their place;  [12]: how many these are;  [13]: now;  [14]: ttl
local list, id, length = KEYS[1], ARGV[4], tonumber(ARGV[5])
local odd = odd_key(1)
if odd then return odd end
local cut, items, count = tonumber(ARGV[8]), unpacked(ARGV[10], ARGV[11]), tonumber(ARGV[12])
local left = length - cut + count
local now_there = call('LLEN', list)

-- Whether an earlier try has left the list so: the new items, and behind them what was there.
local function was_done()
  if now_there ~= left or not stand(list, 0, items, 1, count) then return false end
  if left == count then return true end
  return stand(list, count, {ARGV[9]}, 1, 1)
end

if again and was_done() then return {'done', '1'} end
if now_there ~= length then return {'moved', id} end
if not begins_with(list, ARGV[6]) then return {'changed', id} end
if ARGV[7] ~= '*' and ARGV[7] ~= '' and find(list, ARGV[7]) ~= cut - 1 then return {'moved', id} end
if left == 0 then
  if length > 0 then drop(1) end
  return {'done', '1'}
end
local passes = call('PTTL', list)
if cut > 0 then cut_front(list, cut) end
for top = count, 1, -SLICE do
  local turned = {}
  for i = top, math.max(1, top - SLICE + 1), -1 do turned[#turned + 1] = items[i] end
  call(newest and 'RPUSH' or 'LPUSH', list, unpack(turned))
end
if passes > 0 then call('PEXPIRE', list, passes) end -- trimmed to nothing it had lost it
if count > 0 then added_to(1, id, ARGV[13], tonumber(ARGV[14]))
elseif step == 2 and call('EXISTS', KEYS[2]) == 1 then
  call('HSET', KEYS[2], 'updated_at', ARGV[13])
end
return {'done', '1'}
"""
)

EXPIRE: Final = writing(
    """
-- KEYS: lists, and the hashes beside them;  ARGV: how many milliseconds each has left
for i, key in ipairs(KEYS) do
  if not misfit(key, 'list') or not misfit(key, 'hash') then call('PEXPIRE', key, ARGV[i]) end
end
return 'done'
"""
)
