-- What this member tells of each limit.
local function hear(limit, row, said, fresh)
  if fresh then
    -- Nobody knows what was used of it before.
    known[#known + 1] = limit.name
    enter(limit, ME, row, CLOCK, limit.most)
  end
  if said.settled > row.settled and not limit.places then
    enter(limit, ME, row, said.settled_at, said.settled - row.settled)
  end
  for _, correction in ipairs(said.corrections) do
    correct(limit, ME, row, correction[1], correction[2], CLOCK)
  end
  row.over, row.settled = math.max(row.over, said.over), math.max(row.settled, said.settled)
  row.returned = math.max(row.returned, said.returned)
  limit.waited, limit.asked = row.want > 0, said.chunk
  row.want, row.chunk = said.want, said.chunk
end

local limits, groups = {}, {}
while ARGV[at] do
  local limit = read_limit(ARGV[at])
  local fresh = not limit
  limit = limit or { name = ARGV[at], start = 0 }
  limit.places, limit.window = ARGV[at + 1] == 'p', tonumber(ARGV[at + 2])
  limit.most, limit.group = tonumber(ARGV[at + 3]), ARGV[at + 4]
  local said, fields = { corrections = {} }, {}
  for i, name in ipairs(SAID) do
    said[name] = tonumber(ARGV[at + 4 + i])
  end
  for i = 1, tonumber(ARGV[at + 11]) do
    said.corrections[i] = { tonumber(ARGV[at + 10 + 2 * i]), tonumber(ARGV[at + 11 + 2 * i]) }
  end
  at = at + 12 + 2 * #said.corrections
  for i, name in ipairs(names) do
    fields[i] = row_field(limit.name, name)
  end
  local texts = read_all(fields)
  limit.rows, limit.free, limit.used = {}, limit.most, 0
  for i, name in ipairs(names) do
    local row = read_row(texts[i])
    limit.rows[name] = row
    if name == ME then
      hear(limit, row, said, fresh)
      limit.mine = row
    end
    prune(limit, name, row, members[name].clock)
    limit.free, limit.used = limit.free - row.used - hand(row), limit.used + row.used
  end
  limit.free = math.max(0, limit.free)
  limits[#limits + 1] = limit
  local group = groups[limit.group] or { starts = {}, start = 0, waited = false, wants = false, took = 0 }
  groups[limit.group] = group
  group.start = math.max(group.start, limit.start)
  group.waited, group.wants = group.waited or limit.waited, group.wants or said.want > 0
  for _, name in ipairs(names) do
    group.starts[name] = math.max(group.starts[name] or 0, limit.rows[name].start)
  end
end
-- Who did not want anything saves nothing up.
for _, group in pairs(groups) do
  if group.wants and not group.waited then
    group.starts[ME] = math.max(group.starts[ME], group.start)
  end
end

-- Who waits beside this member. What those need who come before it is set aside.
for _, limit in ipairs(limits) do
  local group, ahead = groups[limit.group], 0
  limit.others, limit.wanted = 0, 0
  for _, name in ipairs(names) do
    local row, member, start = limit.rows[name], members[name], group.starts[name]
    row.waits = name ~= ME and not member.dead and row.want > 0 and member.clock - member.word < PROMPT
    if row.waits then
      limit.others, limit.wanted = limit.others + 1, limit.wanted + row.want
      if start < group.starts[ME] or (start == group.starts[ME] and name < ME) then
        ahead = ahead + row.chunk
      end
    end
  end
  limit.ahead, limit.left = ahead, math.max(0, limit.free - ahead)
  group.short = group.short or limit.mine.chunk > limit.left
end

-- What is granted: of one group all that the first in line needs, or nothing.
for _, limit in ipairs(limits) do
  local mine, group, give = limit.mine, groups[limit.group], 0
  if not group.short then
    local fair = limit.wanted > 0 and math.floor(limit.left / (limit.others + 1)) or limit.left
    give = math.min(mine.want, math.max(mine.chunk, fair))
  end
  mine.granted, limit.free = mine.granted + give, limit.free - give
  mine.want, mine.chunk = mine.want - give, math.max(0, mine.chunk - give)
  group.took = math.max(group.took, math.ceil(give * WHOLE / math.max(1, limit.most)))
end

-- Who should come: to give back what idles, or for what is left when those before it have theirs.
local calls = {}
for _, limit in ipairs(limits) do
  limit.mine.knows = limit.others > 0 and 1 or 0
  limit.left = limit.free
  for _, name in ipairs(names) do
    local row = limit.rows[name]
    if name ~= ME and limit.mine.chunk > limit.free and hand(row) > 0 and row.knows == 0 then
      row.knows, calls[name] = 1, true
    end
  end
end
for id, group in pairs(groups) do
  local order = {}
  for i, name in ipairs(names) do
    order[i] = name
  end
  table.sort(order, function(one, other)
    local first, second = group.starts[one], group.starts[other]
    return first < second or (first == second and one < other)
  end)
  for _, name in ipairs(order) do
    local wants, enough = false, true
    for _, limit in ipairs(limits) do
      local row = limit.rows[name]
      if limit.group == id and row.waits then
        wants, enough = wants or row.chunk > 0, enough and row.chunk <= limit.left
        limit.left = math.max(0, limit.left - row.chunk)
      end
    end
    if wants and enough then
      calls[name] = true
    end
  end
end

-- How much a member that has more places than its share should let go of.
local function let_go(limit)
  local here, lack = 0, 0
  for _, name in ipairs(names) do
    local row = limit.rows[name]
    if not members[name].dead and (hand(row) > 0 or row.want > 0) then
      here = here + 1
    end
  end
  local share = math.floor(limit.most / math.max(1, here))
  for _, name in ipairs(names) do
    local row = limit.rows[name]
    if row.waits and hand(row) < share then
      lack = lack + math.min(row.want, share - hand(row))
    end
  end
  return math.max(0, math.min(hand(limit.mine) - share, lack - limit.free))
end

-- After how long there is enough for one more like the first in line, and when the last of it is free.
local function frees(limit)
  local heads, last, next = {}, 0, 0
  for _, name in ipairs(names) do
    local row, clock = limit.rows[name], members[name].clock
    if not is_empty(row) then
      last = math.max(last, row.last - clock)
      heads[#heads + 1] = { name = name, clock = clock, number = row.head, tail = row.tail, after = row.next - clock }
    end
  end
  local lack = limit.asked + limit.ahead - limit.free
  for _ = 1, LOOKED_AT do
    local first = nil
    for _, head in ipairs(heads) do
      if head.number <= head.tail and (not first or head.after < first.after) then
        first = head
      end
    end
    if not first then
      break
    end
    local _, amount = read_entry(limit, first.name, first.number)
    next, lack = first.after, lack - amount
    if lack <= 0 then
      break
    end
    first.number = first.number + 1
    if first.number <= first.tail then
      first.after = read_entry(limit, first.name, first.number) - first.clock
    end
  end
  return next, last
end

local answers, kept = { 'taken', '' }, {}
local function keep(field, text)
  kept[#kept + 1], kept[#kept + 2] = field, text
end
for _, limit in ipairs(limits) do
  local group, next, last = groups[limit.group], frees(limit)
  limit.start = math.max(group.start, group.took > 0 and group.starts[ME] or 0)
  limit.mine.start = group.starts[ME] + group.took
  for _, name in ipairs(names) do
    local row = limit.rows[name]
    local text = row_text(row)
    if text ~= row.text then
      keep(row_field(limit.name, name), text)
    end
  end
  keep('l:' .. limit.name, (limit.places and 'p ' or 'w ') .. whole(limit.window) .. ' ' .. whole(limit.start))
  answers[#answers + 1] = table.concat({
    whole(limit.mine.granted), whole(limit.free), whole(limit.used), whole(next), whole(last), whole(limit.others),
    whole(limit.places and let_go(limit) or 0),
  }, ' ')
end
local clocks, called = {}, {}
for _, name in ipairs(names) do
  local member = members[name]
  if calls[name] and not member.dead and not member.called then
    member.called = true
    called[#called + 1] = name
  end
  keep('m:' .. name, table.concat({
    whole(member.clock), whole(member.word), member.dead and '1' or '0', member.called and '1' or '0',
    whole(member.spared),
  }, ' '))
  if name ~= ME then
    clocks[#clocks + 1] = name .. ' ' .. whole(member.clock)
  end
end
answers[2] = table.concat(clocks, ' ')
keep('life', ARGV[1])
keep('members', table.concat(names, ' '))
keep('limits', table.concat(known, ' '))
write_all(kept)
if redis.call('PTTL', KEY) < tonumber(ARGV[3]) / 2 then
  redis.call('PEXPIRE', KEY, ARGV[3])
end
if #called > 0 then
  redis.call('PUBLISH', ARGV[2], table.concat(called, ' '))
end
return answers
