-- Sees one attempt: what greylist.rs does, in one step for all who share this server.
--
-- KEYS: the pair, its client, and the same two as they were learnt in shadow (for an attempt in shadow, the same keys again).
-- ARGV: now, delay, keep, passes, shadow (0 or 1), how long a pair may take to come again; times in milliseconds.
-- Gives 0 for wait, 1 for pass, 2 for known, and how long to wait.
local now, delay, keep = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local passes, shadow, retry = tonumber(ARGV[4]), ARGV[5] == '1', tonumber(ARGV[6])
local until_kept = now + keep

local function pair(key)
    local found = redis.call('HMGET', key, 'first', 'passed', 'expires')
    local expires = tonumber(found[3] or '0')
    if expires <= now then return nil end
    return { first = tonumber(found[1]), passed = found[2] == '1' }
end

local function client(key)
    local found = redis.call('HMGET', key, 'passes', 'expires')
    if tonumber(found[2] or '0') <= now then return nil end
    return tonumber(found[1])
end

local function keep_pair(first, passed, expires)
    redis.call('HSET', KEYS[1], 'first', string.format('%.0f', first), 'passed', passed and '1' or '0',
        'expires', string.format('%.0f', expires))
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(1, expires - now)))
end

local function keep_client(count)
    redis.call('HSET', KEYS[2], 'passes', count, 'expires', string.format('%.0f', until_kept))
    redis.call('PEXPIRE', KEYS[2], string.format('%.0f', math.max(1, keep)))
end

local function is_known(count)
    return count ~= nil and passes > 0 and count >= passes
end

local own_client = client(KEYS[2])
if is_known(own_client) then
    keep_client(own_client)
    return { 2, 0 }
end

local own = pair(KEYS[1])
if own then
    local waited = math.max(0, now - own.first)
    if own.passed then
        keep_pair(own.first, true, until_kept)
        return { 2, 0 }
    elseif waited >= delay then
        keep_pair(own.first, true, until_kept)
        keep_client((own_client or 0) + 1)
        return { shadow and 2 or 1, 0 }
    elseif shadow then
        keep_pair(own.first, false, until_kept)
        return { 2, 0 }
    end
    return { 0, delay - waited }
end

if not shadow then
    local learnt, learnt_client = pair(KEYS[3]), client(KEYS[4])
    if learnt then
        keep_pair(learnt.first, true, until_kept)
        local count = own_client or learnt_client
        if count then keep_client(count) end
        return { 2, 0 }
    elseif is_known(learnt_client) then
        keep_client(learnt_client)
        return { 2, 0 }
    end
end
keep_pair(now, false, now + (shadow and keep or retry))
return { 0, delay }
