--- required -- required(message): an error with this message when there is no value.
return function(value, message)
  if value == nil or value == "" then error(message or "a value is required here", 0) end
  return value
end
