-- Compare and set at the server: an entry and the version it belongs to change in one step.
-- Each call names one key; docs/redis.md lists what a user must be granted for the functions.

local HEAD = 9
local NEVER = '\0\0\0\0\0\0\0\0'

-- Lua's numbers lose bits above 2^53, so a version is compared as two halves.
local function newer(a, b)
  local a_high, a_low = struct.unpack('>I4I4', a)
  local b_high, b_low = struct.unpack('>I4I4', b)
  return a_high > b_high or (a_high == b_high and a_low > b_low)
end

-- Kind and version of what lies under the key; nothing when it is not ours, or not there.
local function head(key)
  local bytes = redis.call('GETRANGE', key, 0, HEAD - 1)
  local kind = string.sub(bytes, 1, 1)
  if #bytes == HEAD and (kind == 'v' or kind == 'r') then
    return kind, string.sub(bytes, 2)
  end
end

-- Takes the entry away, and remembers for a while what may not come back.
local function bury(key, version, life)
  -- First: once something was freed, a server without memory takes the few bytes that follow.
  redis.call('UNLINK', key)
  if version ~= NEVER then
    redis.call('SET', key, 'r' .. version, 'PX', life)
  end
end

-- record, life in ms or '' for ever, life of a removal in ms: 1 stored, 0 something newer stands
local function put(keys, args)
  local version = string.sub(args[1], 2, HEAD)
  local kind, stands = head(keys[1])
  if kind and newer(stands, version) then
    return 0
  end
  if args[2] == '' then
    redis.call('SET', keys[1], args[1])
  elseif args[2] == '0' then
    bury(keys[1], version, args[3])
  else
    redis.call('SET', keys[1], args[1], 'PX', args[2])
  end
  return 1
end

-- version, life of a removal in ms, for a value that is not sent: 1 nothing older is left, 0 something
-- newer stands
local function refuse(keys, args)
  local kind, stands = head(keys[1])
  if kind and newer(stands, args[1]) then
    return 0
  end
  bury(keys[1], args[1], args[2])
  return 1
end

-- version, life of a removal in ms: 1 there was a value, 0 there was none
local function remove(keys, args)
  local version = args[1]
  local kind, stands = head(keys[1])
  if kind and newer(stands, version) then
    version = stands
  end
  bury(keys[1], version, args[2])
  return kind == 'v' and 1 or 0
end

-- life in ms or '' for ever, life of a removal in ms: 1 there is a value, 0 there is none
local function touch(keys, args)
  local kind, stands = head(keys[1])
  if kind ~= 'v' then
    return 0
  end
  if args[1] == '' then
    redis.call('PERSIST', keys[1])
  elseif args[1] == '0' then
    bury(keys[1], stands, args[2])
  else
    redis.call('PEXPIRE', keys[1], args[1])
  end
  return 1
end

-- record, life and life of a removal as in put, version that is expected or NEVER for no value:
-- stored, changed or fenced, and the version of the value that stands
local function swap(keys, args)
  local kind, stands = head(keys[1])
  local there = kind == 'v' and stands or NEVER
  if there ~= args[4] or (kind == 'v' and there == NEVER) then
    return { 'changed', there }
  end
  if put(keys, args) == 0 then
    return { 'fenced', NEVER }
  end
  return { 'stored', NEVER }
end
