-- Who the members are.
local held = redis.call('HMGET', KEY, 'life', 'members', 'limits')
if held[1] ~= ARGV[1] then
  if not JOINS then
    return { 'unknown' }
  end
  redis.call('UNLINK', KEY)
  held = {}
end
local names, members, known = words(held[2]), {}, words(held[3])
for _, name in ipairs(names) do
  local numbers = words(redis.call('HGET', KEY, 'm:' .. name))
  members[name] = {
    clock = tonumber(numbers[1]), word = tonumber(numbers[2]),
    dead = numbers[3] == '1', called = numbers[4] == '1', spared = tonumber(numbers[5] or '0'),
  }
end
local me = members[ME]
if me and me.dead then
  return { 'dead' }
end
if me and CLOCK <= me.word then
  return { 'stale' }
end
if not me then
  if not JOINS then
    return { 'unknown' }
  end
  me = {}
  names[#names + 1] = ME
  members[ME] = me
end
-- Who comes back may have been kept from speaking, and then others were, too: they have time to come.
local was_away = me.word and CLOCK - me.word > PROMPT
me.clock, me.word, me.dead, me.called, me.spared = CLOCK, CLOCK, false, false, 0
local at = 11
for _ = 1, tonumber(ARGV[10]) do
  local member = members[ARGV[at]]
  if member and member ~= me then
    member.clock = math.max(member.clock, tonumber(ARGV[at + 1]))
  end
  at = at + 2
end
for _, member in pairs(members) do
  if was_away and member.clock - member.word > PROMPT then
    member.spared = member.clock + SPARED
  end
end

-- Who is dead: what it had in hand counts as used just now, and its places are free.
local function bury(name, member)
  for _, of in ipairs(known) do
    local text = redis.call('HGET', KEY, row_field(of, name))
    if text then
      local limit, row = read_limit(of), read_row(text)
      prune(limit, name, row, member.clock)
      if not limit.places then
        enter(limit, name, row, member.clock, hand(row))
      end
      row.returned = row.returned + hand(row)
      row.want, row.chunk = 0, 0
      redis.call('HSET', KEY, row_field(of, name), row_text(row))
    end
  end
  member.dead = true
end

local function still_counts(name, member)
  for _, of in ipairs(known) do
    local row = read_row(redis.call('HGET', KEY, row_field(of, name)))
    if not is_empty(row) and row.last > member.clock then
      return true
    end
  end
  return false
end

local function forget(name)
  redis.call('HDEL', KEY, 'm:' .. name)
  for _, of in ipairs(known) do
    local row = read_row(redis.call('HGET', KEY, row_field(of, name)))
    for number = row.head, row.tail do
      redis.call('HDEL', KEY, entry_field(of, name, number))
    end
    redis.call('HDEL', KEY, row_field(of, name))
  end
  members[name] = nil
end

local there = {}
for _, name in ipairs(names) do
  local member = members[name]
  if not member.dead and member.clock - member.word >= SILENCE and member.clock >= member.spared then
    bury(name, member)
  end
  if member.dead and not still_counts(name, member) then
    forget(name)
  else
    there[#there + 1] = name
  end
end
names = there

