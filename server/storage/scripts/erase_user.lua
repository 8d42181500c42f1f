-- Writes a user's tombstone, first of all, and forgets what is kept of the user but for the log (see erase_events.lua).
-- Returns {when, the sessions of the user that are left to erase, the ids of the events in the history}.
--
-- KEYS, all with one hash tag: history, runs, event_ids and sessions of the user; tombstones and log of the bucket
-- ARGV: SHA-256 of the user's id, then the sessions that are erased already
-- While a session is left the set of sessions stays, so that whoever repeats a half-done erasure finds it.

local history, runs, event_ids, sessions, tombstones, log = unpack(KEYS)

-- The log's clock tells what came before the erasure from what comes after it: it is moved on by a millisecond.
local id = redis.call('XADD', log, '*', 'erased', '')
redis.call('XDEL', log, id)
local erased_at = tonumber(string.match(id, '^%d+'))
redis.call('XSETID', log, string.format('%.0f-0', erased_at + 1))
redis.call('HSET', tombstones, ARGV[1], string.format('%.0f', erased_at))

local events = {}
for i, member in ipairs(redis.call('ZRANGE', history, 0, -1)) do
  events[i] = cjson.decode(string.sub(member, 11))[4]
end
redis.call('DEL', history, runs, event_ids)

local done, left = {}, {}
for i = 2, #ARGV do
  done[ARGV[i]] = true
end
for _, session in ipairs(redis.call('SMEMBERS', sessions)) do
  if not done[session] then
    left[#left + 1] = session
  end
end
if #left == 0 then
  redis.call('DEL', sessions)
end
return {erased_at, left, events}
