"""What the Lua scripts have in common: each is one atomic step, for Redis 6.0 and later and Valkey.

Redis does not roll a script back. So each looks at everything first (the type of every key, every
expected end), and after its first write nothing can fail: that first write is of a kind that the
server refuses where its memory is full, unless the script makes room itself. Every key that a
script touches is passed to it.
"""

import hashlib
from typing import Final

import msgspec

from synmem.backends.redis.positions import TRACE
from synmem.store import REMEMBERED_DAYS

TOKEN_S: Final = 3600
"""So long a call's own token, and what a replacement has staged, are kept."""

STEP_S: Final = REMEMBERED_DAYS * 24 * 3600
"""So long a token that was given is kept."""

ANY: Final = b"*"
"""For an expected end or begin: any. For what is deleted: all. No position reads like that."""


GONE: Final = b"-"
"""For a title or extra: forget it. No JSON reads like that."""


class Script(msgspec.Struct, frozen=True):
    """A script and the name under which the server remembers it."""

    text: str
    sha: str
    writes: bool


def script(text: str, *, writes: bool = False) -> Script:
    """A script that has what all have in common."""
    whole = _COMMON + text
    sha = hashlib.sha1(whole.encode(), usedforsecurity=False).hexdigest()
    return Script(whole, sha, writes)


def writing(text: str) -> Script:
    """One that writes."""
    return script(text, writes=True)


_COMMON = (
    f"""
local TRACE, TOKEN_S, STEP_S, SLICE = {TRACE}, {TOKEN_S}, {STEP_S}, 4000
"""
    + """
local call = redis.call

-- A type that is not the wanted one; nil where it is, or where there is no such key.
local function misfit(key, wanted)
  local kind = call('TYPE', key)['ok']
  if kind ~= 'none' and kind ~= wanted then return kind end
end

-- The answer of a write that is known already: it was done, or called off; else nil.
local function known(token)
  local done = call('GET', token)
  if done == 'off' then return {'off', ''} end
  if done then return {'done', done} end
end

-- Whether new items are put in front; a script says so of other frameworks' lists.
local newest = false

-- The items from one index to another, oldest first; indexes are counted from the oldest.
local function range(list, from, to)
  if to < from then return {} end
  if not newest then return call('LRANGE', list, from, to) end
  local items, turned = call('LRANGE', list, -to - 1, -from - 1), {}
  for i = #items, 1, -1 do turned[#turned + 1] = items[i] end
  return turned
end

local function trace(items)
  local hashes = {}
  for i, item in ipairs(items) do hashes[i] = redis.sha1hex(item) end
  return #items .. ':' .. hashes[#items] .. ':' .. redis.sha1hex(table.concat(hashes))
end

-- The position of the last item; '' where there is none.
local function ending(list)
  local length = call('LLEN', list)
  if length == 0 then return '' end
  local items = range(list, math.max(0, length - TRACE), length - 1)
  return string.format('%d:', length - 1) .. trace(items)
end

-- Where the item of a position stands now: at its index, else below, where another program may
-- have moved it by trimming; nil where it is nowhere, or could be at two places.
local function find(list, position)
  local index, traced = string.match(position, '^(%d+):(.+)$')
  if not index then return nil end
  index = tonumber(index)
  local count, last = string.match(traced, '^(%d+):(%x+):')
  count = tonumber(count)
  local function stands(at)
    local items = range(list, math.max(0, at - count + 1), at)
    return #items == count and trace(items) == traced
  end
  if stands(index) then return index end
  local found
  local top = math.min(index, call('LLEN', list)) - 1
  while top >= count - 1 do
    local low = math.max(count - 1, top - 999)
    local items = range(list, low, top)
    for i = #items, 1, -1 do
      if redis.sha1hex(items[i]) == last and stands(low + i - 1) then
        if found then return nil end
        found = low + i - 1
      end
    end
    top = low - 1
  end
  return found
end

-- Whether a list begins with the item of this position; for '', whether there is no list.
local function begins_with(list, position)
  if position == '*' then return true end
  if position == '' then return call('LLEN', list) == 0 end
  local items = range(list, 0, 0)
  return #items == 1 and string.match(position, '^%d+:(.+)$') == trace(items)
end

-- What lies beside a list lives as long as the list.
local function align(list, beside)
  local left = call('PTTL', list)
  if left > 0 then call('PEXPIRE', beside, left) else call('PERSIST', beside) end
end

-- Set a title or extra: '' leaves it as it is, '-' forgets it.
local function set(beside, field, value)
  if value == '-' then call('HDEL', beside, field)
  elseif value ~= '' then call('HSET', beside, field, value) end
end

local function describe(list, beside, title, extra, ttl)
  set(beside, 'title', title)
  set(beside, 'extra', extra)
  if ttl > 0 then call('EXPIRE', list, ttl) end
  if ttl > 0 or title ~= '' or extra ~= '' then align(list, beside) end
end

local function forget(index, list, beside, id)
  call('DEL', list, beside)
  call('SREM', index, id)
end

local function push(list, items, from, to)
  for low = from, to, SLICE do
    call(newest and 'LPUSH' or 'RPUSH', list, unpack(items, low, math.min(low + SLICE - 1, to)))
  end
end

-- Many strings as two, and back: the driver takes a while over each that it sends or gets.
local function packed(items)
  local sizes = {}
  for i, item in ipairs(items) do sizes[i] = #item end
  return table.concat(sizes, ','), table.concat(items)
end

local function unpacked(sizes, data)
  local items, count, at = {}, 0, 1
  for size in string.gmatch(sizes, '%d+') do
    local after = at + size
    count = count + 1
    items[count] = string.sub(data, at, after - 1)
    at = after
  end
  return items
end
"""
)
