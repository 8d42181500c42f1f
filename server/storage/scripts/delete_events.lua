-- Deletes from a session's history the events that were copied into its user's. Events that came since stay.
-- KEYS, with one hash tag: history, runs, dislikes and shown of the session.
-- ARGV: the number of members of the history, these, the number of impressions, these, then the dislikes that were
-- copied, each an item and its time.

local last = 1 + tonumber(ARGV[1])
for i = 2, last do
  redis.call('ZREM', KEYS[1], ARGV[i])
end
local shown_last = last + 1 + tonumber(ARGV[last + 1])
for i = last + 2, shown_last do
  redis.call('ZREM', KEYS[4], ARGV[i])
end
for i = shown_last + 1, #ARGV, 2 do
  local at = redis.call('ZSCORE', KEYS[3], ARGV[i])
  if at and tonumber(at) <= tonumber(ARGV[i + 1]) then
    redis.call('ZREM', KEYS[3], ARGV[i])
  end
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[2])
end
