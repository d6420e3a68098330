-- The clock of tests: what stands in lg:test-now, in milliseconds, instead of Redis's TIME.
local function now()
  return tonumber(redis.call('GET', 'lg:test-now'))
end
