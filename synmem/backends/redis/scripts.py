"""The Lua scripts of the Redis store.

Those that write have a token: they look for it first, and set it last. Its key holds what the write
returned, or `off` where it was called off.
"""

from typing import Final

from synmem.backends.redis.lua import script, writing

APPEND: Final = writing("""
-- KEYS: token, index; of each part its list and what lies beside it; tokens that are spent
-- ARGV, packed: ttl, keep (-1: all), parts; of each: id, expected end, title, extra, count, items;
-- then for how many seconds the token is kept
local done = known(KEYS[1])
if done then return done end
local given = unpacked(ARGV[1], ARGV[2])
local ttl, keep, parts = tonumber(given[1]), tonumber(given[2]), tonumber(given[3])
local kind = misfit(KEYS[2], 'set')
if kind then return {'kind', KEYS[2], kind} end
local at = 4
for part = 1, parts do
  local list, beside = KEYS[2 * part + 1], KEYS[2 * part + 2]
  kind = misfit(list, 'list')
  if kind then return {'kind', list, kind} end
  kind = misfit(beside, 'hash')
  if kind then return {'kind', beside, kind} end
  local expected = given[at + 1]
  if expected ~= '*' and ending(list) ~= expected then return {'changed', given[at]} end
  at = at + 5 + tonumber(given[at + 4])
end

local ends = {}
at = 4
for part = 1, parts do
  local list, beside = KEYS[2 * part + 1], KEYS[2 * part + 2]
  local id, title, extra, count = given[at], given[at + 2], given[at + 3], tonumber(given[at + 4])
  local before = call('LLEN', list)
  if count > 0 then
    push(list, given, at + 5, at + 4 + count)
    if before == 0 then call('DEL', beside) end -- of one that another program deleted
    call('SADD', KEYS[2], id)
  end
  if before + count > 0 then
    if count > 0 or title ~= '' or extra ~= '' then describe(list, beside, title, extra, ttl) end
    if keep == 0 then forget(KEYS[2], list, beside, id)
    elseif keep > 0 then call('LTRIM', list, -keep, -1) end
  end
  ends[part] = ending(list)
  at = at + 5 + count
end
ends = table.concat(ends, '\\n')
call('SET', KEYS[1], ends, 'EX', ARGV[3])
for spent = 2 * parts + 3, #KEYS do call('DEL', KEYS[spent]) end
return {'done', ends}
""")

DELETE: Final = writing("""
-- KEYS: token, index, list, beside
-- ARGV: id, for how many seconds the token is kept, position with which it begins, or '*',
--       position up to which, or '*'
local done = known(KEYS[1])
if done then return done end
local index, list, beside = KEYS[2], KEYS[3], KEYS[4]
for key, wanted in pairs({[index] = 'set', [list] = 'list', [beside] = 'hash'}) do
  local kind = misfit(key, wanted)
  if kind then return {'kind', key, kind} end
end
local length = call('LLEN', list)
if length == 0 then
  if ARGV[4] == '*' then forget(index, list, beside, ARGV[1]) end -- a ghost is nothing to tell of
  return {'done', ''}
end
if not begins_with(list, ARGV[3]) then return {'changed', ARGV[1]} end
local last = length - 1
if ARGV[4] == '' then last = -1
elseif ARGV[4] ~= '*' then
  last = find(list, ARGV[4])
  if not last then return {'changed', ARGV[1]} end
end
if last == length - 1 then forget(index, list, beside, ARGV[1])
elseif last >= 0 then call('LTRIM', list, last + 1, -1) end
call('SET', KEYS[1], '1', 'EX', ARGV[2])
return {'done', '1'}
""")

STAGE: Final = writing("""
-- KEYS: staged;  ARGV, packed: more items;  then how many are staged already
local staged, before = call('LLEN', KEYS[1]), tonumber(ARGV[3])
if staged < before then return 'lost' end
if staged == before then -- else an earlier try was done after all
  local items = unpacked(ARGV[1], ARGV[2])
  push(KEYS[1], items, 1, #items)
end
call('EXPIRE', KEYS[1], TOKEN_S)
return 'done'
""")

REPLACE: Final = writing("""
-- KEYS: token, index, list, beside, staged
-- ARGV: id, for how many seconds the token is kept, position with which it begins, or '*',
--       position up to which, ttl, title, extra, how many items are staged
local done = known(KEYS[1])
if done then
  call('DEL', KEYS[5])
  return done
end
local index, list, beside, staged = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
for key, wanted in pairs({[index] = 'set', [list] = 'list', [beside] = 'hash'}) do
  local kind = misfit(key, wanted)
  if kind then return {'kind', key, kind} end
end
local id, count, cut = ARGV[1], tonumber(ARGV[8]), 0
if call('LLEN', staged) ~= count then return {'changed', id} end
if not begins_with(list, ARGV[3]) then return {'changed', id} end
local length = call('LLEN', list)
if ARGV[4] ~= '' then
  local last = find(list, ARGV[4])
  if not last then return {'changed', id} end
  cut = last + 1
end
if length - cut + count == 0 then
  if length > 0 then forget(index, list, beside, id) end
else
  local left = call('PTTL', list)
  if cut > 0 then call('LTRIM', list, cut, -1) end
  for top = count - 1, 0, -SLICE do
    local items = call('LRANGE', staged, math.max(0, top - SLICE + 1), top)
    local turned = {}
    for i = #items, 1, -1 do turned[#turned + 1] = items[i] end
    call('LPUSH', list, unpack(turned))
  end
  if length == 0 then call('DEL', beside) end -- of one that another program deleted
  call('SADD', index, id)
  if left > 0 then call('PEXPIRE', list, left) end -- trimmed to nothing it had lost it
  describe(list, beside, ARGV[6], ARGV[7], tonumber(ARGV[5]))
end
call('DEL', staged)
call('SET', KEYS[1], '1', 'EX', ARGV[2])
return {'done', '1'}
""")

CALL_OFF: Final = writing("""
-- KEYS: tokens; of each what is known of it, once none that was not done ever will be
local found = {}
for i, token in ipairs(KEYS) do
  call('SET', token, 'off', 'EX', STEP_S, 'NX')
  found[i] = call('GET', token)
end
return found
""")

FORGET: Final = writing("""
-- KEYS: tokens
for _, token in ipairs(KEYS) do call('DEL', token) end
return 'done'
""")

EXPIRE: Final = writing("""
-- KEYS: of each conversation its list and what lies beside it;  ARGV: milliseconds left of each
for i = 1, #KEYS, 2 do
  if not misfit(KEYS[i], 'list') and call('PEXPIRE', KEYS[i], ARGV[(i + 1) / 2]) == 1 then
    align(KEYS[i], KEYS[i + 1])
  end
end
return 'done'
""")

NOTE: Final = script("""
-- KEYS: list, beside;  ARGV: field
if misfit(KEYS[1], 'list') or misfit(KEYS[2], 'hash') or call('EXISTS', KEYS[1]) == 0 then
  return false
end
return call('HGET', KEYS[2], ARGV[1])
""")

SET_NOTE: Final = writing("""
-- KEYS: list, beside;  ARGV: field, value ('': none)
for key, wanted in pairs({[KEYS[1]] = 'list', [KEYS[2]] = 'hash'}) do
  local kind = misfit(key, wanted)
  if kind then return {'kind', key, kind} end
end
if call('EXISTS', KEYS[1]) == 1 then
  if ARGV[2] == '' then call('HDEL', KEYS[2], ARGV[1])
  else call('HSET', KEYS[2], ARGV[1], ARGV[2]) end
  align(KEYS[1], KEYS[2])
end
return {'done', ''}
""")

# --- reading: these write nothing -----------------------------------------------------------

KNOWN: Final = script("""
-- KEYS: tokens; of each what is known of it
local found = {}
for i, token in ipairs(KEYS) do found[i] = call('GET', token) end
return found
""")

NOTES: Final = script("""
-- KEYS: of each conversation its list and what lies beside it; of each fields and values of this
local found = {}
for i = 1, #KEYS, 2 do
  local is_there = call('TYPE', KEYS[i])['ok'] == 'list' and not misfit(KEYS[i + 1], 'hash')
  found[#found + 1] = is_there and call('HGETALL', KEYS[i + 1]) or {}
end
return found
""")

BEGIN: Final = script("""
-- KEYS: lists;  ARGV: how many items of each, '1' for the last, and for how many there is room
-- Of as many lists as there is room for: 0 where there is none, the type of what is not a list,
-- or its length and its items, packed; of the last ones also up to 15 before them.
local size, last, room = tonumber(ARGV[1]), ARGV[2] == '1', tonumber(ARGV[3])
local found, taken = {}, 0
for i, list in ipairs(KEYS) do
  local kind = call('TYPE', list)['ok']
  if kind == 'none' then found[i] = 0
  elseif kind ~= 'list' then found[i] = kind
  else
    local length = call('LLEN', list)
    local take = math.min(length, size)
    if taken > 0 and taken + take > room then return found end
    taken = taken + take
    local from, to = 0, take - 1
    if last then from, to = math.max(0, length - size - TRACE + 1), -1 end
    found[i] = {length, packed(call('LRANGE', list, from, to))}
  end
end
return found
""")

GO_ON: Final = script("""
-- KEYS: list;  ARGV: position, how many items, '1' for those before it
-- 0 where the position is gone; else the index of the first item given, how many of them are
-- there only to tell where the others stand, and the items, packed.
if misfit(KEYS[1], 'list') then return 0 end
local at, size = find(KEYS[1], ARGV[1]), tonumber(ARGV[2])
if not at then return 0 end
if ARGV[3] == '1' then
  local first = math.max(0, at - size)
  local from = math.max(0, first - TRACE + 1)
  if at == 0 then return {0, 0, '', ''} end
  return {from, first - from, packed(call('LRANGE', KEYS[1], from, at - 1))}
end
local from = math.max(0, at - TRACE + 2)
return {from, at + 1 - from, packed(call('LRANGE', KEYS[1], from, at + size))}
""")

LENGTHS: Final = script("""
-- KEYS: lists; of each its length, 0 where there is none, -1 for what is not a list
local found = {}
for i, list in ipairs(KEYS) do
  local kind = call('TYPE', list)['ok']
  found[i] = (kind == 'list' and call('LLEN', list)) or (kind == 'none' and 0) or -1
end
return found
""")

DETAILS: Final = script("""
-- KEYS: of each conversation its list and what lies beside it
-- 0 where there is none, -1 for what is not a list, or: length, first, last, title, extra
local found = {}
for i = 1, #KEYS, 2 do
  local list, beside = KEYS[i], KEYS[i + 1]
  local kind = call('TYPE', list)['ok']
  if kind == 'none' then found[#found + 1] = 0
  elseif kind ~= 'list' then found[#found + 1] = -1
  else
    local named = {false, false}
    if not misfit(beside, 'hash') then named = call('HMGET', beside, 'title', 'extra') end
    found[#found + 1] = {call('LLEN', list), call('LINDEX', list, 0), call('LINDEX', list, -1),
      named[1], named[2]}
  end
end
return found
""")

EXPIRING: Final = script("""
-- KEYS: lists; of each how many milliseconds it has left, below 0 where it does not expire
local found = {}
for i, list in ipairs(KEYS) do found[i] = call('PTTL', list) end
return found
""")
