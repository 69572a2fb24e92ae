--- suggest -- "did you mean": the nearest of the names that exist.
local M = {}

local MAX_LENGTH = 64 -- of a name worth comparing; the cost is its square

local function minimum(a, b, c)
  if b < a then a = b end
  if c < a then a = c end
  return a
end

--- How many insertions, deletions, replacements and swaps of neighbours make `a` into `b`.
function M.distance(a, b)
  local before, previous, current = {}, {}, {}
  for j = 0, #b do previous[j] = j end
  for i = 1, #a do
    current[0] = i
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      current[j] = minimum(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (same and 0 or 1))
      local swapped = i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j)
      if swapped then current[j] = math.min(current[j], before[j - 2] + 1) end
    end
    before, previous, current = previous, current, before
  end
  return previous[#b]
end

--- The name nearest to `name`, or nil if none is near. `names` is a list.
function M.nearest(name, names)
  if type(name) ~= "string" or #name > MAX_LENGTH then return nil end
  local best, best_distance
  for _, candidate in ipairs(names) do
    if #candidate <= MAX_LENGTH then
      local distance = M.distance(name:lower(), candidate:lower())
      local closer = not best or distance < best_distance
      if closer or (distance == best_distance and candidate < best) then
        best, best_distance = candidate, distance
      end
    end
  end
  if best and best_distance <= math.max(1, #name // 3) then return best end
  return nil
end

--- `; did you mean "x"?`, or "" if no name is near.
function M.hint(name, names)
  local nearest = M.nearest(name, names)
  return nearest and ('; did you mean "%s"?'):format(nearest) or ""
end

--- The keys of a table as a sorted list of strings.
function M.names(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = tostring(name) end
  table.sort(names)
  return names
end

return M
