"""The counter itself: one Lua script, so that checking and counting are one step for everybody.

Each rule is a hash: a ring of 61 cells of one second for requests (``r0`` … ``r60``) and one for tokens (``t…``), their
sums (``rs``, ``ts``), the second up to which the ring is current (``last``), the seconds of the newest use (``nr``,
``nt``) and its life (``ep``). 61 cells, not 60: two calls less than 60 s apart can lie 60 cells apart, so only what is
61 cells old is surely out of every window. A cell is reused 61 seconds later, and what it held leaves the sum then.

Time is Redis's own, one clock for all processes; when it steps back, the newest second known goes on. The operations
of a batch are carried out in their order; a take counts under all its rules or under none.
"""

# ARGV[1]: now in ms, 0 for Redis's clock. ARGV[2]: JSON list of operations on rules, named by their index in KEYS:
#   ["take", tokens, [[rule, requests per minute or 0, tokens per minute or 0], …]]
#   ["change", requests, tokens, [[rule, cell, life], …]]
# Returns JSON: [now in ms, [answer, …]]; to a take:
#   [allowed 1 or 0, ms until it fits or -1 for never,
#    for each rule [requests, tokens, second of the newest request, of the newest tokens, cell, life]]
SCRIPT = """
local CELLS = 61
local time = redis.call('TIME')
local now = tonumber(ARGV[1])
if now == 0 then now = time[1] * 1000 + math.floor(time[2] / 1000) end
local second = math.floor(now / 1000)
local states = {}

local function expire(key, st)
    local names, gone = {}, {}
    for cell = st.cell + 1, second do
        names[#names + 1] = 'r' .. cell % CELLS
        names[#names + 1] = 't' .. cell % CELLS
    end
    local old = redis.call('HMGET', key, unpack(names))
    for i = 1, #names, 2 do
        if old[i] then st.rs = st.rs - old[i]; gone[#gone + 1] = names[i] end
        if old[i + 1] then st.ts = st.ts - old[i + 1]; gone[#gone + 1] = names[i + 1] end
    end
    if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
    st.cell = second
end

local function state(index)
    if states[index] then return states[index] end
    local key = KEYS[index]
    local got = redis.call('HMGET', key, 'last', 'rs', 'ts', 'nr', 'nt', 'ep')
    local st = {key = key, r = 0, t = 0, rs = 0, ts = 0, nr = 0, nt = 0, cell = second}
    if got[1] and second - got[1] < CELLS then
        st.cell = tonumber(got[1])
        st.rs, st.ts, st.nr, st.nt = tonumber(got[2]), tonumber(got[3]), tonumber(got[4]), tonumber(got[5])
        st.ep = got[6]
        if st.cell < second then
            expire(key, st)
            st.dirty = true
        else
            local own = redis.call('HMGET', key, 'r' .. st.cell % CELLS, 't' .. st.cell % CELLS)
            st.r, st.t = tonumber(own[1] or 0), tonumber(own[2] or 0)
        end
    else
        if got[1] then redis.call('DEL', key) end
        st.ep = time[1] .. '.' .. time[2]
    end
    states[index] = st
    return st
end

-- Milliseconds until so much of a ring will have left it.
local function wait(st, kind, excess)
    local names = {}
    for cell = st.cell - CELLS + 1, st.cell - 1 do names[#names + 1] = kind .. cell % CELLS end
    local values = redis.call('HMGET', st.key, unpack(names))
    for i = 1, CELLS - 1 do
        excess = excess - (values[i] or 0)
        if excess <= 0 then return (st.cell - CELLS + i + CELLS) * 1000 - now end
    end
    return (st.cell + CELLS) * 1000 - now
end

local function take(tokens, rules)
    local pause = 0
    for _, rule in ipairs(rules) do
        local st, requests_limit, tokens_limit = state(rule[1]), rule[2], rule[3]
        if tokens_limit > 0 and tokens > tokens_limit then pause = -1 end
        if pause >= 0 and requests_limit > 0 and st.rs + 1 > requests_limit then
            pause = math.max(pause, wait(st, 'r', st.rs + 1 - requests_limit))
        end
        if pause >= 0 and tokens_limit > 0 and st.ts + tokens > tokens_limit then
            pause = math.max(pause, wait(st, 't', st.ts + tokens - tokens_limit))
        end
    end
    local seen = {}
    for i, rule in ipairs(rules) do
        local st = state(rule[1])
        if pause == 0 then
            st.dirty = true
            st.r, st.rs, st.nr = st.r + 1, st.rs + 1, st.cell
            if tokens > 0 then st.t, st.ts, st.nt = st.t + tokens, st.ts + tokens, st.cell end
        end
        seen[i] = {st.rs, st.ts, st.nr, st.nt, st.cell, st.ep}
    end
    return {pause == 0 and 1 or 0, pause, seen}
end

-- Less than was counted is taken off where it was counted, as long as that still counts; more is counted now.
local function change_one(st, kind, amount, cell, ep)
    if amount == 0 then return end
    local sum = kind .. 's'
    if amount > 0 or (cell == st.cell and ep == st.ep) then
        amount = math.max(amount, -st[kind])
        st[kind], st[sum] = st[kind] + amount, st[sum] + amount
        if amount > 0 then st['n' .. kind] = st.cell end
    elseif ep == st.ep and cell > st.cell - CELLS and cell < st.cell then
        local name = kind .. cell % CELLS
        amount = math.max(amount, -tonumber(redis.call('HGET', st.key, name) or 0))
        redis.call('HINCRBY', st.key, name, amount)
        st[sum] = st[sum] + amount
    end
    st.dirty = true
end

local answers = {}
for i, operation in ipairs(cjson.decode(ARGV[2])) do
    if operation[1] == 'take' then
        answers[i] = take(operation[2], operation[3])
    else
        for _, place in ipairs(operation[4]) do
            local st = state(place[1])
            change_one(st, 'r', operation[2], place[2], place[3])
            change_one(st, 't', operation[3], place[2], place[3])
        end
        answers[i] = 0
    end
end
for _, st in pairs(states) do
    if st.dirty then
        redis.call('HSET', st.key, 'last', st.cell, 'rs', st.rs, 'ts', st.ts, 'nr', st.nr, 'nt', st.nt, 'ep', st.ep,
            'r' .. st.cell % CELLS, st.r, 't' .. st.cell % CELLS, st.t)
        redis.call('PEXPIRE', st.key, 150000)
    end
end
return cjson.encode({now, answers})
"""
