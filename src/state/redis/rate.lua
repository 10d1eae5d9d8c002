-- Counts one more in all windows of a key, unless one of them is full: what window.rs does, in one step for all who share
-- this server.
--
-- KEYS[1]: a hash, PERIOD:SLOT to how many. ARGV: now, then count and period of each limit; times in milliseconds.
-- Gives whether there was room, how many the first window holds, and how long to wait.
local SLOTS = 16
local now = tonumber(ARGV[1])

local limits = {}
for i = 2, #ARGV, 2 do
    local period = tonumber(ARGV[i + 1])
    local length = math.max(1, math.ceil(period / SLOTS))
    limits[#limits + 1] = {
        most = tonumber(ARGV[i]), period = period, length = length, total = 0, slots = {},
        oldest = math.floor(math.max(0, now - period) / length),
        newest = math.floor(now / length) + SLOTS,
    }
end

local over = {}
local held = redis.call('HGETALL', KEYS[1])
for i = 1, #held, 2 do
    local period, slot = string.match(held[i], '^(%d+):(%d+)$')
    period, slot = tonumber(period), tonumber(slot)
    local counts = false
    for _, limit in ipairs(limits) do
        if limit.period == period and slot >= limit.oldest and slot <= limit.newest then
            local count = tonumber(held[i + 1])
            limit.slots[#limit.slots + 1] = { slot, count }
            limit.total = limit.total + count
            counts = true
        end
    end
    if not counts then over[#over + 1] = held[i] end
end

local wait = 0
for _, limit in ipairs(limits) do
    table.sort(limit.slots, function(a, b) return a[1] < b[1] end)
    local left, free = limit.total, now
    for _, slot in ipairs(limit.slots) do
        if left < limit.most then break end
        left = left - slot[2]
        free = (slot[1] + 1) * limit.length + limit.period
    end
    if left >= limit.most then free = now + limit.period end
    wait = math.max(wait, free - now)
end
if wait > 0 then return { 0, limits[1].total, wait } end

local longest = 0
for _, limit in ipairs(limits) do
    local slot = math.floor(now / limit.length)
    redis.call('HINCRBY', KEYS[1], string.format('%.0f:%.0f', limit.period, slot), 1)
    longest = math.max(longest, limit.period + 2 * limit.length)
end
-- In pieces: Lua's stack is not endless.
for i = 1, #over, 100 do
    redis.call('HDEL', KEYS[1], unpack(over, i, math.min(i + 99, #over)))
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', longest))
return { 1, limits[1].total + 1, 0 }
