-- Renews a member's lease and reads a fleet's state in one step, by the clock of Redis.
-- Returns seconds and microseconds of now, number, state, flipped_at, and of each member its name, record and the ms that
-- are left of its lease.
-- KEYS: state, members, leases. ARGV: name ('' only reads), record, lease in ms, ms for which lost members are kept.

if redis.replicate_commands then
  redis.replicate_commands()
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[1] ~= '' then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
  redis.call('ZADD', KEYS[3], string.format('%.0f', now + ARGV[3]), ARGV[1])
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now - ARGV[4]))) do
    redis.call('HDEL', KEYS[2], name)
    redis.call('ZREM', KEYS[3], name)
  end
end
local state = redis.call('HMGET', KEYS[1], 'number', 'state', 'flipped_at')
local found = {time[1], time[2], state[1] or '0', state[2] or '', state[3] or '0'}
for _, name in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  local record = redis.call('HGET', KEYS[2], name)
  if record then
    found[#found + 1] = name
    found[#found + 1] = record
    found[#found + 1] = string.format('%.0f', redis.call('ZSCORE', KEYS[3], name) - now)
  end
end
return found
