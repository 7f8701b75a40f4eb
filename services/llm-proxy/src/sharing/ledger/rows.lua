-- One round of a member with the ledger of a provider, which is one hash:
--   life             which life of Redis it was begun in: what another one knew is thrown away
--   members, limits  names, with blanks between
--   m:MEMBER         clock (it has certainly reached this), word (its clock when it last spoke), dead, called, spared (not dead before its
--                    clock reaches this)
--   l:LIMIT          p or w (places, window), window, virtual start of the latest grant
--   x:LIMIT:MEMBER   a row: the fields of ROW
--   e:LIMIT:MEMBER:N entry N of what the member has used: when it is free by the member's clock, how much
-- Whole numbers below 2^53 throughout; times are microseconds of members' own monotonic clocks.
--
-- ARGV: life, channel, keep_ms, silence, prompt, spared, member, joins, clock, number of others, (member, clock)…,
-- then for each limit: name, p or w, window, limit, group, over, settled, settled_at, returned, want, chunk, number of
-- corrections, (arrived, how much less)….
-- Answers: taken, the others' clocks as one text, then a text for each limit; or unknown, dead, stale.
local KEY = KEYS[1]
local ROW = { 'granted', 'over', 'settled', 'returned', 'used', 'want', 'chunk', 'start', 'head', 'tail', 'next', 'last', 'knows' }
local SAID = { 'over', 'settled', 'settled_at', 'returned', 'want', 'chunk' }
local SLICES = 1000
-- So many entries are looked at to say when enough is free; what is beyond is asked for again.
local LOOKED_AT = 100
-- What a whole limit adds to a virtual start.
local WHOLE = 1000000
local SILENCE, PROMPT, SPARED = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local ME, JOINS, CLOCK = ARGV[7], ARGV[8] == '1', tonumber(ARGV[9])

local function whole(number)
  return string.format('%.0f', number)
end

local function words(text)
  local all = {}
  for word in string.gmatch(text or '', '%S+') do
    all[#all + 1] = word
  end
  return all
end

-- Many fields, by the handful: Lua's stack ends at some thousands of values.
local HANDFUL = 1000

local function read_all(fields)
  local texts = {}
  for first = 1, #fields, HANDFUL do
    local last = math.min(first + HANDFUL - 1, #fields)
    for i, text in ipairs(redis.call('HMGET', KEY, unpack(fields, first, last))) do
      texts[first + i - 1] = text
    end
  end
  return texts
end

-- Fields and their texts in turn.
local function write_all(kept)
  for first = 1, #kept, HANDFUL do
    redis.call('HSET', KEY, unpack(kept, first, math.min(first + HANDFUL - 1, #kept)))
  end
end

local function row_field(limit, member)
  return 'x:' .. limit .. ':' .. member
end

local function entry_field(limit, member, number)
  return 'e:' .. limit .. ':' .. member .. ':' .. whole(number)
end

local function read_row(text)
  local row, numbers = { text = text }, words(text)
  for i, name in ipairs(ROW) do
    row[name] = tonumber(numbers[i] or '0')
  end
  return row
end

local function row_text(row)
  local texts = {}
  for i, name in ipairs(ROW) do
    texts[i] = whole(row[name])
  end
  return table.concat(texts, ' ')
end

local function is_empty(row)
  return row.tail == 0 or row.tail < row.head
end

local function hand(row)
  return row.granted + row.over - row.settled - row.returned
end

local function read_limit(name)
  local held = words(redis.call('HGET', KEY, 'l:' .. name))
  if #held == 0 then
    return nil
  end
  return { name = name, places = held[1] == 'p', window = tonumber(held[2]), start = tonumber(held[3]) }
end

local function read_entry(limit, member, number)
  local numbers = words(redis.call('HGET', KEY, entry_field(limit.name, member, number)))
  return tonumber(numbers[1]), tonumber(numbers[2])
end

local function write_entry(limit, member, number, at, amount)
  redis.call('HSET', KEY, entry_field(limit.name, member, number), whole(at) .. ' ' .. whole(amount))
end

-- What arrived at a time counts until the end of the slice in which its window ends.
local function counts_until(limit, arrived)
  local slice = math.max(1, math.floor(limit.window / SLICES))
  return math.ceil((arrived + limit.window + 1) / slice) * slice
end

local function enter(limit, member, row, arrived, amount)
  if amount <= 0 then
    return
  end
  local at = math.max(counts_until(limit, arrived), row.last)
  if not is_empty(row) and at == row.last then
    local _, before = read_entry(limit, member, row.tail)
    write_entry(limit, member, row.tail, at, before + amount)
  else
    local first = is_empty(row)
    row.tail = row.tail + 1
    write_entry(limit, member, row.tail, at, amount)
    if first then
      row.head, row.next = row.tail, at
    end
  end
  row.used, row.last = row.used + amount, at
end

-- Less arrived at that time than was entered. Where that counts no more, nothing else may be taken for it.
local function correct(limit, member, row, arrived, fewer, clock)
  local at, low, high = counts_until(limit, arrived), row.head, row.tail
  if is_empty(row) or at <= clock then
    return
  end
  while low < high do
    local middle = math.floor((low + high) / 2)
    if read_entry(limit, member, middle) < at then
      low = middle + 1
    else
      high = middle
    end
  end
  local found, amount = read_entry(limit, member, low)
  if found >= at then
    local less = math.min(fewer, amount)
    write_entry(limit, member, low, found, amount - less)
    row.used = row.used - less
  end
end

-- What is free again by its member's clock.
local function prune(limit, member, row, clock)
  while not is_empty(row) and row.next <= clock do
    local _, amount = read_entry(limit, member, row.head)
    redis.call('HDEL', KEY, entry_field(limit.name, member, row.head))
    row.used, row.head = row.used - amount, row.head + 1
    if not is_empty(row) then
      row.next = read_entry(limit, member, row.head)
    end
  end
end

