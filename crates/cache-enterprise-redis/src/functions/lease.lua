-- Leases: token (8 bytes) and end (milliseconds as text) under a key beside the value's. The record
-- outlives the lease, so that the next token is greater and a late holder is refused.

local REMEMBERED = 600000

local function millis()
  return math.floor(micros() / 1000)
end

local function leased(key)
  local bytes = redis.call('GET', key)
  if bytes and #bytes > 8 then
    return string.sub(bytes, 1, 8), tonumber(string.sub(bytes, 9))
  end
end

local function lease(key, token, life)
  local text = string.format('%.0f', millis() + life)
  local kept = string.format('%.0f', life + math.max(life, REMEMBERED))
  redis.call('SET', key, token .. text, 'PX', kept)
end

-- life in ms: token and 0, or '' and the ms for which somebody else has it
local function lease_acquire(keys, args)
  local token, ends = leased(keys[1])
  local left = (ends or 0) - millis()
  if left > 0 then
    return { '', left }
  end
  token = after(later(token or NEVER, at(micros())))
  lease(keys[1], token, tonumber(args[1]))
  return { token, 0 }
end

-- token, life in ms: 1 held on, 0 it is not the caller's
local function lease_renew(keys, args)
  if leased(keys[1]) ~= args[1] then
    return 0
  end
  lease(keys[1], args[1], tonumber(args[2]))
  return 1
end

-- As put, then the token; the second key is the lease's: 0 also when a later token was given
local function lease_put(keys, args)
  local token = leased(keys[2])
  if token and newer(token, args[4]) then
    return 0
  end
  return put(keys, args)
end

-- As refuse, then the token, in the order of lease_put's keys: 0 also when a later token was given
local function lease_refuse(keys, args)
  local token = leased(keys[2])
  if token and newer(token, args[3]) then
    return 0
  end
  return refuse(keys, args)
end

-- token: 1 ended, 0 it is not the caller's
local function lease_release(keys, args)
  if leased(keys[1]) ~= args[1] then
    return 0
  end
  redis.call('SET', keys[1], args[1] .. '0', 'KEEPTTL')
  return 1
end
