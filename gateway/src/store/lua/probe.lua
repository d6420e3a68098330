-- Shows that a connection does what taps need: it runs a script that may write, at a primary, with the clock. It writes nothing
-- and has no keys.
--
-- ARGV  calls that the user must be allowed to make, each as words separated by blanks; none: only the clock is read
-- Reply {'ok', the calls among them that are not allowed, …}
-- Example  time "hset lg:{x}:state f v" -> ok

local missing = {'ok'}
for i = 1, #ARGV do
  local words = {}
  for word in ARGV[i]:gmatch('%S+') do words[#words + 1] = word end
  -- A command that this Redis does not have can't be forbidden.
  local is_known, is_allowed = pcall(redis.acl_check_cmd, unpack(words))
  if is_known and is_allowed == false then missing[#missing + 1] = ARGV[i] end
end
if #missing == 1 then now() end
return missing
