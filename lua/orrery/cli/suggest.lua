--- suggest -- the nearest of some names, for people who mistype.
local M = {}

local MAX_LENGTH = 64

--- How many letters to change, add, drop or swap (neighbours) to get from a to b.
local function distance(a, b)
  local before, row = nil, {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local new = {[0] = i}
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      new[j] = math.min(row[j] + 1, new[j - 1] + 1, row[j - 1] + cost)
      if before and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        new[j] = math.min(new[j], before[j - 2] + 1)
      end
    end
    before, row = row, new
  end
  return row[#b]
end

--- The nearest name, or nil when none is near enough to be meant.
function M.nearest(word, names)
  local best, best_distance
  if #word > MAX_LENGTH then return nil end
  for _, name in ipairs(names) do
    local d = #name <= MAX_LENGTH and distance(word, name) or math.huge
    if #word >= 3 and name:sub(1, #word) == word then d = math.min(d, 1) end
    if d <= math.max(1, #name // 3) and (not best or d < best_distance) then
      best, best_distance = name, d
    end
  end
  return best
end

--- '; did you mean "plan"?' or nothing.
function M.did_you_mean(word, names)
  local name = M.nearest(word, names)
  return name and ('; did you mean "%s"?'):format(name) or ""
end

return M
