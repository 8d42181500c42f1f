-- Writes a fleet's state under a number, if nobody has written since `expected`.
-- Returns 1, or 0 where somebody has, and nothing is written.
-- KEYS: the hash. ARGV: expected, the new number, the state as JSON, flipped_at in Unix ms or 'now'.

if tonumber(redis.call('HGET', KEYS[1], 'number') or 0) ~= tonumber(ARGV[1]) then
  return 0
end
local flipped_at = ARGV[4]
if flipped_at == 'now' then
  if redis.replicate_commands then
    redis.replicate_commands()
  end
  local time = redis.call('TIME')
  flipped_at = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
end
redis.call('HSET', KEYS[1], 'number', ARGV[2], 'state', ARGV[3], 'flipped_at', flipped_at)
return 1
