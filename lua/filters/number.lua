--- number -- a text as a number.
return function(value)
  if type(value) == "number" then return value end
  local text = type(value) == "string" and #value <= 64 and value or ""
  local number = text:find("^%-?%d+%.?%d*[eE]?[+-]?%d*$") and tonumber(text)
  return number or error("this is not a number", 0)
end
