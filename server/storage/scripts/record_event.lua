-- Records an event of a user in the event log, and in the user's history in order of time; an impression, which the user
-- did not choose, among the impressions in its place. A dislike is in the history, but is no interaction.
-- Returns 1, or 0 where the event id was recorded before, and then changes nothing.
--
-- KEYS, all with one hash tag:
--   1 history    sorted set; score: time of the event, ms; member: ten digits of its run, then JSON [item, query, type, event id],
--                and the value, as text, where there is one
--   2 runs       counter of the runs of equal (item, query) that the user had; a run is one interaction in a prompt
--   3 event_ids  sorted set of recorded event ids; score: when they came, ms
--   4 log        stream: the event's fields, "" where there is no value
--   5 dislikes   sorted set of items; score: time of the dislike, ms
--   6 shown      sorted set of impressions that the user did not answer by taking the item then or later; score: time, ms;
--                member: the time, a space and the item, so that two of one moment count once
-- ARGV: now (Unix ms), history_length, history_ms, event_ids_length, event_ids_ms, log_length, and the event's fields
-- The log is written first and the event id last. If Redis fails in between, nothing was acknowledged, and a repetition
-- writes the event again.

local history, runs, event_ids, log, dislikes, shown = unpack(KEYS)
local MAX_DISLIKES, MAX_IMPRESSIONS = 1000, 128
local now, history_length, history_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local event_ids_length, event_ids_ms, log_length = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local user, item, timestamp, kind, query, event_id, request_id, value = unpack(ARGV, 7, 14)

if redis.call('ZSCORE', event_ids, event_id) then
  return 0
end

redis.call('XADD', log, 'MAXLEN', '~', log_length, '*', 'user_id', user, 'item_id', item, 'timestamp', timestamp,
  'type', kind, 'query', query, 'event_id', event_id, 'request_id', request_id, 'value', value)

if kind == 'impression' then
  local oldest = redis.call('ZRANGE', shown, -MAX_IMPRESSIONS, -MAX_IMPRESSIONS, 'WITHSCORES')
  local counts = not oldest[2] or tonumber(timestamp) >= tonumber(oldest[2])
  if counts then
    local quoted = cjson.encode(item)
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', history, timestamp, '+inf')) do
      if string.find(member, quoted, 1, true) then
        local later = cjson.decode(string.sub(member, 11))
        counts = counts and (later[1] ~= item or later[3] == 'dislike')
      end
    end
  end
  local member = timestamp .. ' ' .. item
  if counts and not redis.call('ZSCORE', shown, member) then
    redis.call('ZREMRANGEBYRANK', shown, 0, -MAX_IMPRESSIONS)
    redis.call('ZADD', shown, timestamp, member)
    redis.call('PEXPIRE', shown, history_ms)
  end
else
  local newest = redis.call('ZRANGE', history, -1, -1)[1]
  local last = newest and cjson.decode(string.sub(newest, 11))
  local run
  if kind == 'dislike' or (last and last[1] == item and last[2] == query) then
    run = redis.call('GET', runs) or 0
  else
    run = redis.call('INCR', runs)
  end
  local fields = {item, query, kind, event_id}
  if value ~= '' then
    fields[5] = value
  end
  redis.call('ZADD', history, timestamp, string.format('%010d', run) .. cjson.encode(fields))
  redis.call('ZREMRANGEBYRANK', history, 0, -history_length - 1)
  redis.call('PEXPIRE', history, history_ms)
  redis.call('PEXPIRE', runs, history_ms)

  if kind ~= 'dislike' then
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', shown, '-inf', timestamp)) do
      if string.sub(member, string.find(member, ' ', 1, true) + 1) == item then
        redis.call('ZREM', shown, member)
      end
    end
  end

  -- A dislike holds until the user does something with the item later. Whether a rating is high enough depends on the
  -- model, so whoever reads the history judges that.
  if kind == 'dislike' then
    local chosen = false
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', history, '(' .. timestamp, '+inf')) do
      local later = cjson.decode(string.sub(member, 11))
      chosen = chosen or (later[1] == item and later[3] ~= 'dislike' and later[3] ~= 'rating')
    end
    local before = redis.call('ZSCORE', dislikes, item)
    if not chosen and not (before and tonumber(before) >= tonumber(timestamp)) then
      redis.call('ZADD', dislikes, timestamp, item)
      redis.call('ZREMRANGEBYRANK', dislikes, 0, -MAX_DISLIKES - 1)
    end
  elseif kind ~= 'rating' then
    local disliked = redis.call('ZSCORE', dislikes, item)
    if disliked and tonumber(disliked) <= tonumber(timestamp) then
      redis.call('ZREM', dislikes, item)
    end
  end
  redis.call('PEXPIRE', dislikes, history_ms)
end

-- Arrivals differ by at least a millisecond, so that ids of one batch, or after a clock stepped back, expire in order.
local last_id = redis.call('ZRANGE', event_ids, -1, -1, 'WITHSCORES')
local arrived = math.max(now, tonumber(last_id[2] or 0) + 1)
redis.call('ZADD', event_ids, string.format('%.0f', arrived), event_id)
redis.call('ZREMRANGEBYSCORE', event_ids, '-inf', '(' .. (now - event_ids_ms))
redis.call('ZREMRANGEBYRANK', event_ids, 0, -event_ids_length - 1)
redis.call('PEXPIRE', event_ids, ARGV[5])
return 1
