-- Sign-ups, a prelude for the scripts about them.
--
-- An entry of kind `signup` has a line for each in its field `signups`: "sub choices" of a new one, whose numbers count up from the
-- field `first`; "sub choices number at" of one that has kept its number and the time at which it was made. One of kind `withdraw`
-- has the line "sub -". Both have `signed`, how many buyers are signed up then. `choices` is one word (see domain/signup.rs). The
-- buyer's part of the id follows from the sub: without it a person takes 21 bytes less.

-- Whether sign-up is over for good: an operator's close is, too.
local function signup_is_over(s) return s.closed == 1 or s.time >= s.signup_closes end

-- The sign-up of a row: {number = …, sequence = …}, and of one that was not withdrawn also `choices` and `at`; nil if the row or
-- its entry is damaged.
local function find_signup(sub, row)
  local number, sequence = row:match('^(%d+) (%d+)$')
  if not number then return nil end
  local found = {number = tonumber(number), sequence = sequence}
  if found.number == 0 then return found end
  local entry = redis.call('XRANGE', JOURNAL, sequence .. '-0', sequence .. '-0')[1]
  if not entry then return nil end
  local fields = {}
  for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
  local text, before = '\n' .. (fields.signups or ''), '\n' .. sub .. ' '
  -- The last one counts: a batch may have several of one buyer.
  local from = 1
  repeat
    local start, stop = text:find(before, from, true)
    if start then
      local choices, rest = text:match('^(%S+)([^\n]*)', stop + 1)
      found.choices, found.at = choices, tonumber(rest:match(' (%d+)$') or fields.at)
      from = stop
    end
  until not start
  return found.choices and found.at and found
end

local function damaged_signup(buyer) return {'damaged', SIGNUPS .. ' has no sign-up in field ' .. buyer} end
