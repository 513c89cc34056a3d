-- The log of a manager's bus, and the id of its newest entry, which tells a listener at little
-- cost whether it has heard everything. Both keys lie in one slot, and so does the channel.

-- channel, frame, entries kept at least, command that publishes, values beside the frame: id
local function log_publish(keys, args)
  local before = redis.call('GET', keys[2]) or '-'
  local id = redis.call('XADD', keys[1], 'MAXLEN', '~', args[3], '*', 'f', args[2])
  redis.call('SET', keys[2], id)
  local head = id .. ' ' .. before
  -- A listener that reads no values takes such a head for a gap, and reads the log.
  if args[5] ~= '' then head = head .. ' ' .. #args[2] end
  redis.call(args[4], args[1], head .. '\n' .. args[2] .. args[5])
  return id
end
