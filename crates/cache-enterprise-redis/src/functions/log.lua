-- The log of a manager's bus, and the id of its newest entry, which tells a listener at little
-- cost whether it has heard everything. Both keys lie in one slot, and so does the channel.

-- channel, frame, entries kept at least, command that publishes: id
local function log_publish(keys, args)
  local before = redis.call('GET', keys[2]) or '-'
  local id = redis.call('XADD', keys[1], 'MAXLEN', '~', args[3], '*', 'f', args[2])
  redis.call('SET', keys[2], id)
  redis.call(args[4], args[1], id .. ' ' .. before .. '\n' .. args[2])
  return id
end
