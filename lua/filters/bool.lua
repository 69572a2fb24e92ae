--- bool -- a text as a boolean: true, yes, on, 1 or false, no, off, 0.
local WORDS = {["true"] = true, yes = true, on = true, ["1"] = true,
               ["false"] = false, no = false, off = false, ["0"] = false}

return function(value)
  if type(value) == "boolean" then return value end
  local found = WORDS[tostring(value):lower()]
  if found == nil then error("this is not one of true, yes, on, 1, false, no, off, 0", 0) end
  return found
end
