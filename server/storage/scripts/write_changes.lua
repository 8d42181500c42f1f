-- Writes changes of the catalog under a number, if `expected` is still the last number.
-- Returns 1, or 0 where it is not, and then writes nothing.
-- KEYS, with one hash tag: changes, order, number. ARGV: expected, the new number, then each item's id and its JSON.

if tonumber(redis.call('GET', KEYS[3]) or 0) ~= tonumber(ARGV[1]) then
  return 0
end
for i = 3, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  redis.call('ZADD', KEYS[2], ARGV[2], ARGV[i])
end
redis.call('SET', KEYS[3], ARGV[2])
return 1
