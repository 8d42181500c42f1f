-- Reads the items that changed after a number, in the order of their changes.
-- Returns {the number of the last change, then of each item its id, its number and its JSON}.
-- KEYS, with one hash tag: changes, order, number. ARGV: that number, how many items at most.

local reply = {tonumber(redis.call('GET', KEYS[3]) or 0)}
local found = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for i = 1, #found, 2 do
  reply[#reply + 1] = found[i]
  reply[#reply + 1] = tonumber(found[i + 1])
  reply[#reply + 1] = redis.call('HGET', KEYS[1], found[i])
end
return reply
