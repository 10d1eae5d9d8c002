-- Keeps a key for a time, and never for less than it is kept already.
--
-- KEYS[1]: the key; its value is when it is forgotten. ARGV: now, for how long; times in milliseconds.
local now = tonumber(ARGV[1])
local held = tonumber(redis.call('GET', KEYS[1]) or '0')
local expires = math.max(held, now + tonumber(ARGV[2]))
redis.call('SET', KEYS[1], string.format('%.0f', expires), 'PX', string.format('%.0f', math.max(1, expires - now)))
return 1
