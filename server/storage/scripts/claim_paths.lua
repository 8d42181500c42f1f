-- Gives items their paths where neither the item nor the path is given away, and keeps the hashes for longer.
-- Returns of each item, in the order asked, its path in the store now, or false where the one asked for is another's.
-- KEYS, with one hash tag: paths, path_items. ARGV: seconds to keep them, then each item's id and path.

local reply = {}
for i = 2, #ARGV, 2 do
  local path = redis.call('HGET', KEYS[1], ARGV[i])
  if not path then
    local owner = redis.call('HGET', KEYS[2], ARGV[i + 1])
    if not owner or owner == ARGV[i] then
      redis.call('HSET', KEYS[2], ARGV[i + 1], ARGV[i])
      redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
      path = ARGV[i + 1]
    end
  end
  reply[#reply + 1] = path
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[1])
return reply
