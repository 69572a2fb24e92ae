--- bool -- a text as a boolean: true, yes, on, 1 or false, no, off, 0; the numbers 1 and 0, too.
local WORDS = {["true"] = true, yes = true, on = true, ["1"] = true, [1] = true,
               ["false"] = false, no = false, off = false, ["0"] = false, [0] = false}

return function(value)
  if type(value) == "boolean" then return value end
  local found
  if type(value) == "string" then found = WORDS[value:lower()]
  elseif type(value) == "number" then found = WORDS[value] end
  if found == nil then error("this is not one of true, yes, on, 1, false, no, off, 0", 0) end
  return found
end
