-- Writes a user's tombstone, and then deletes the user's history and event ids. The log is for erase_events.lua.
-- Returns {when, Unix ms, the user's sessions that remain to be erased, the ids of the events in the history}.
--
-- KEYS, all with one hash tag: history, runs, event_ids and sessions of the user; tombstones and log of the bucket;
-- dislikes and shown of the user
-- ARGV: SHA-256 of the user's id, then the sessions that are erased already
-- The set of sessions is kept while a session remains, so that repeating an erasure that was broken off finds it.

local history, runs, event_ids, sessions, tombstones, log, dislikes, shown = unpack(KEYS)

-- The log's own clock separates the events before the erasure from those after it, so it is advanced by a millisecond.
local id = redis.call('XADD', log, '*', 'erased', '')
redis.call('XDEL', log, id)
local erased_at = tonumber(string.match(id, '^%d+'))
redis.call('XSETID', log, string.format('%.0f-0', erased_at + 1))
redis.call('HSET', tombstones, ARGV[1], string.format('%.0f', erased_at))

local events = {}
for i, member in ipairs(redis.call('ZRANGE', history, 0, -1)) do
  events[i] = cjson.decode(string.sub(member, 11))[4]
end
redis.call('DEL', history, runs, event_ids, dislikes, shown)

local done, remaining = {}, {}
for i = 2, #ARGV do
  done[ARGV[i]] = true
end
for _, session in ipairs(redis.call('SMEMBERS', sessions)) do
  if not done[session] then
    remaining[#remaining + 1] = session
  end
end
if #remaining == 0 then
  redis.call('DEL', sessions)
end
return {erased_at, remaining, events}
