-- Deletes the alias of a session, if it names this user. KEYS: aliases. ARGV: the session, the user.

if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
