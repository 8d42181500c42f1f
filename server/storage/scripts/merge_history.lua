-- Copies the events of a session's history into its user's, in order of time, but for those that the user has.
-- Returns their number, or -1 where the session is not the user's, because the user was erased meanwhile.
--
-- KEYS, all with one hash tag: history, runs, event_ids, dislikes, shown (as in record_event.lua) and sessions of the user
-- ARGV: the session, now, history_length, history_ms, event_ids_length, event_ids_ms, and how many events follow;
--   for each event its time and its JSON [item, query, type, event id, perhaps value], oldest first; then for each event id of the
--   session the id and when it came; then the number of the session's impressions, and each as in record_event.lua; then
--   of each of its dislikes the item and its time
-- The user is given the session's event ids too, so that an event that is sent again under the account is ignored.

local history, runs, event_ids, dislikes, shown, sessions = unpack(KEYS)
local session, now, history_length, history_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local event_ids_length, event_ids_ms = tonumber(ARGV[5]), tonumber(ARGV[6])
local MAX_DISLIKES, MAX_IMPRESSIONS = 1000, 128
local first, last = 8, 7 + 2 * tonumber(ARGV[7])

if redis.call('SISMEMBER', sessions, session) == 0 then
  return -1
end

-- An event is looked for in the history and among the event ids, as either may be forgotten before the other.
local known = {}
for _, member in ipairs(redis.call('ZRANGE', history, 0, -1)) do
  known[cjson.decode(string.sub(member, 11))[4]] = true
end

local moved, run, item, query = 0, nil, nil, nil
for i = first, last, 2 do
  local visit = cjson.decode(ARGV[i + 1])
  if not known[visit[4]] and not redis.call('ZSCORE', event_ids, visit[4]) then
    if visit[3] == 'dislike' then
      run = redis.call('GET', runs) or 0
    elseif visit[1] ~= item or visit[2] ~= query then
      run = redis.call('INCR', runs)
      item, query = visit[1], visit[2]
    end
    redis.call('ZADD', history, ARGV[i], string.format('%010d', run) .. ARGV[i + 1])
    moved = moved + 1
  end
end
-- A dislike of either holds unless something with the item came later in either history.
local ids_end = last + 1 + 2 * tonumber(ARGV[last + 1])
local shown_end = ids_end + 1 + tonumber(ARGV[ids_end + 1])
for i = shown_end + 1, #ARGV, 2 do
  local before = redis.call('ZSCORE', dislikes, ARGV[i])
  if not (before and tonumber(before) >= tonumber(ARGV[i + 1])) then
    redis.call('ZADD', dislikes, ARGV[i + 1], ARGV[i])
  end
end
if redis.call('EXISTS', dislikes) == 1 then
  local both = redis.call('ZRANGE', history, 0, -1, 'WITHSCORES')
  for i = 1, #both, 2 do
    local deed = cjson.decode(string.sub(both[i], 11))
    local disliked = redis.call('ZSCORE', dislikes, deed[1])
    if disliked and deed[3] ~= 'dislike' and deed[3] ~= 'rating' and tonumber(both[i + 1]) > tonumber(disliked) then
      redis.call('ZREM', dislikes, deed[1])
    end
  end
  redis.call('ZREMRANGEBYRANK', dislikes, 0, -MAX_DISLIKES - 1)
  redis.call('PEXPIRE', dislikes, history_ms)
end

-- Impressions of either count unless the user took the item then or later, in either history.
for i = ids_end + 2, shown_end do
  redis.call('ZADD', shown, string.match(ARGV[i], '^%d+'), ARGV[i])
end
if redis.call('EXISTS', shown) == 1 then
  local taken = {}
  local both = redis.call('ZRANGE', history, 0, -1, 'WITHSCORES')
  for i = 1, #both, 2 do
    local deed = cjson.decode(string.sub(both[i], 11))
    if deed[3] ~= 'dislike' then
      taken[deed[1]] = tonumber(both[i + 1])
    end
  end
  for _, member in ipairs(redis.call('ZRANGE', shown, 0, -1)) do
    local at, own = string.match(member, '^(%d+) (.*)$')
    if taken[own] and taken[own] >= tonumber(at) then
      redis.call('ZREM', shown, member)
    end
  end
  redis.call('ZREMRANGEBYRANK', shown, 0, -MAX_IMPRESSIONS - 1)
  redis.call('PEXPIRE', shown, history_ms)
end

redis.call('ZREMRANGEBYRANK', history, 0, -history_length - 1)
redis.call('PEXPIRE', history, history_ms)
redis.call('PEXPIRE', runs, history_ms)

for i = last + 2, ids_end, 2 do
  redis.call('ZADD', event_ids, 'NX', ARGV[i + 1], ARGV[i])
end
redis.call('ZREMRANGEBYSCORE', event_ids, '-inf', '(' .. (now - event_ids_ms))
redis.call('ZREMRANGEBYRANK', event_ids, 0, -event_ids_length - 1)
redis.call('PEXPIRE', event_ids, ARGV[6])
return moved
