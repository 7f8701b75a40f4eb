-- How circuits stand, one for each key.
local at, all = clock(), {}
for i, key in ipairs(KEYS) do
  all[i] = standing(key, at)
end
return all
