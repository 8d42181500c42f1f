-- Writes the traffic split under a number, if nobody has written one since `expected`.
-- Returns 1, or 0 where somebody has, and nothing is written.
-- KEYS: the split. ARGV: expected, the new number, the weights as JSON.

if tonumber(redis.call('HGET', KEYS[1], 'number') or 0) ~= tonumber(ARGV[1]) then
  return 0
end
redis.call('HSET', KEYS[1], 'number', ARGV[2], 'weights', ARGV[3])
return 1
