-- Deletes from a session's history the events that were copied into its user's. Events that came since stay.
-- KEYS, with one hash tag: history and runs of the session. ARGV: members of the history.

for _, member in ipairs(ARGV) do
  redis.call('ZREM', KEYS[1], member)
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[2])
end
