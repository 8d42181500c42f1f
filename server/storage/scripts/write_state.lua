-- Writes what all servers share under a number, if nobody has written since `expected`.
-- Returns 1, or 0 where somebody has, and nothing is written.
-- KEYS: the hash. ARGV: expected, the new number, the field, its value as JSON.

if tonumber(redis.call('HGET', KEYS[1], 'number') or 0) ~= tonumber(ARGV[1]) then
  return 0
end
redis.call('HSET', KEYS[1], 'number', ARGV[2], ARGV[3], ARGV[4])
return 1
