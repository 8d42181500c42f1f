-- Takes a token from a caller's bucket, by the clock of Redis.
-- Returns 0, or where there is none the microseconds until there is one, and then changes nothing.
-- KEYS: when the bucket will be full again, Unix microseconds; it expires at that time. ARGV: tokens a second, capacity.
-- A full bucket has no key. The time is never further away than an empty bucket needs, whatever became of clock and rate.

if redis.replicate_commands then
  redis.replicate_commands()
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local each = 1000000 / tonumber(ARGV[1])
local whole = each * tonumber(ARGV[2])
local missing = tonumber(redis.call('GET', KEYS[1]) or now) - now
missing = math.min(math.max(missing, 0), whole) + each
if missing > whole then
  return math.ceil(missing - whole)
end
redis.call('SET', KEYS[1], string.format('%.0f', now + missing), 'PX', math.ceil(missing / 1000))
return 0
