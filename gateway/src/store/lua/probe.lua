-- Checks that a connection can do what taps need: it runs as a script that may write, at a primary. It writes nothing.
--
-- ARGV  calls that the user must be allowed to make, each as words separated by blanks; none: only the clock is read
-- Reply {'ok', those calls that are not allowed, …}
-- Example  time "hset lg:{x}:state f v" -> ok

local missing = {'ok'}
for i = 1, #ARGV do
  local words = {}
  for word in ARGV[i]:gmatch('%S+') do words[#words + 1] = word end
  -- A command that this Redis lacks can't be forbidden.
  local is_known, is_allowed = pcall(redis.acl_check_cmd, unpack(words))
  if is_known and is_allowed == false then missing[#missing + 1] = ARGV[i] end
end
if #missing == 1 then now() end
return missing
