-- Sequence and epochs of a tenant. Each call names the record of the tenant, a hash, and the order
-- of its epochs: a sorted set of number and field, which tells what was raised since a number and
-- what was raised first. Both lie in one slot. Fields that begin with '#' are the record's own.

-- A field of each of these is in the record: birth, run, floor, sequence, changed.
local HEADS = 5
-- Those for which every tenant looks into the record of the root.
local SHARED = { ['*'] = true, ['~*'] = true }
local FIELDS_MAX = 100000
-- Most epochs that one call folds besides as many as it adds: what one call costs stays bounded.
local FOLDS = 256
-- No entry lives longer than 30 days.
local LIFE = 31 * 86400 * 1000000

local function later(a, b)
  return newer(b, a) and b or a
end

local function after(a)
  local high, low = struct.unpack('>I4I4', a)
  low = low + 1
  if low == 4294967296 then
    high, low = high + 1, 0
  end
  return struct.pack('>I4I4', high, low)
end

local function micros()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- A moment as a number of the sequence.
local function at(us)
  return struct.pack('>I4I4', math.floor(us / 4294967296), us % 4294967296)
end

-- The next number: above all that were given, above the caller's, and not below the time.
local function take(keys, above)
  local stored = redis.call('HGET', keys[1], '#sequence') or NEVER
  local number = after(later(later(stored, above), at(micros())))
  redis.call('HSET', keys[1], '#sequence', number)
  return number
end

local function set(keys, field, number)
  local old = redis.call('HGET', keys[1], field)
  redis.call('HSET', keys[1], field, number)
  if not SHARED[field] then
    if old then
      redis.call('ZREM', keys[2], old .. field)
    end
    redis.call('ZADD', keys[2], 0, number .. field)
  end
end

-- The order from the record, when a server that evicts took it alone.
local function reorder(keys)
  redis.call('UNLINK', keys[2])
  local flat = redis.call('HGETALL', keys[1])
  for i = 1, #flat, 2 do
    local field = flat[i]
    if string.sub(field, 1, 1) ~= '#' and not SHARED[field] then
      redis.call('ZADD', keys[2], 0, flat[i + 1] .. field)
    end
  end
end

-- Takes away the oldest epochs over the limit and those past every entry's life; the floor rises
-- to the newest of them.
local function fold(keys, is_root, added)
  local fields = redis.call('HLEN', keys[1]) - HEADS
  if is_root then
    fields = fields - 2
  end
  if redis.call('ZCARD', keys[2]) ~= fields then
    reorder(keys)
  end
  local most = FOLDS + added
  local excess = math.min(math.max(fields - FIELDS_MAX, 0), most)
  local past = at(micros() - LIFE)
  local first = redis.call('ZRANGE', keys[2], 0, 0)[1]
  if not first or (excess == 0 and not newer(past, string.sub(first, 1, 8))) then
    return
  end
  local floor = redis.call('HGET', keys[1], '#floor')
  for i, member in ipairs(redis.call('ZRANGE', keys[2], 0, most - 1)) do
    local number = string.sub(member, 1, 8)
    if i > excess and not newer(past, number) then
      break
    end
    redis.call('HDEL', keys[1], string.sub(member, 9))
    redis.call('ZREM', keys[2], member)
    floor = later(floor, number)
  end
  redis.call('HSET', keys[1], '#floor', floor)
end

-- Makes the record anew: whatever is older than the time and than `known` is invalid.
local function bear(keys, is_root, birth, run, known)
  local stored = redis.call('HGET', keys[1], '#sequence') or NEVER
  local floor = later(later(stored, known), at(micros()))
  redis.call('UNLINK', keys[1], keys[2])
  redis.call('HSET', keys[1], '#birth', birth, '#run', run, '#floor', floor,
    '#sequence', floor, '#changed', floor)
  if is_root then
    -- The other tenants look at these: what the lost record ended for them stays ended.
    redis.call('HSET', keys[1], '*', floor, '~*', floor)
  end
end

-- Another process of the server than the one that wrote the record may have lost what it was told
-- last: a replica that took over, or what a restart found on its disk.
local function this_run()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
end

-- '1' for the root, birth mark for a new record, newest number known, number since which epochs are
-- asked for or '':
-- birth, changed, sequence, floor, then number and field of each epoch raised since
local function epochs_load(keys, args)
  local is_root, known, since = args[1] == '1', args[3], args[4]
  local run = this_run()
  local head = redis.call('HMGET', keys[1], '#birth', '#run')
  if not head[1] or head[2] ~= run then
    bear(keys, is_root, args[2], run, known)
  end
  take(keys, known)
  fold(keys, is_root, 0)
  local reply = redis.call('HMGET', keys[1], '#birth', '#changed', '#sequence', '#floor')
  if since ~= '' then
    for _, member in ipairs(redis.call('ZRANGEBYLEX', keys[2], '[' .. after(since), '+')) do
      reply[#reply + 1] = member
    end
  end
  return reply
end

-- '1' for the root, birth mark for a new record, number to stay above, fields: the number taken
local function epochs_raise(keys, args)
  local is_root, above = args[1] == '1', args[3]
  if redis.call('HEXISTS', keys[1], '#birth') == 0 then
    bear(keys, is_root, args[2], this_run(), above)
  end
  local number = take(keys, above)
  if #args > 3 then
    for i = 4, #args do
      set(keys, args[i], number)
    end
    redis.call('HSET', keys[1], '#changed', number)
    fold(keys, is_root, #args - 3)
  end
  return number
end
