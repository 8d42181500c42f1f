-- Deletes a user's events from a batch of the log.
-- Returns {the stream id of the batch's last entry, or "" where it has none, the ids of the deleted events}.
-- KEYS: log. ARGV: the user, the first and the last stream id of the batch, how many entries at most.

local entries = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[3], 'COUNT', ARGV[4])
local last, events = '', {}
for _, entry in ipairs(entries) do
  local fields = {}
  for i = 1, #entry[2], 2 do
    fields[entry[2][i]] = entry[2][i + 1]
  end
  if fields.user_id == ARGV[1] then
    redis.call('XDEL', KEYS[1], entry[1])
    events[#events + 1] = fields.event_id
  end
  last = entry[1]
end
return {last, events}
