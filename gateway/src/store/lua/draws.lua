-- Draws, a prelude.
--
-- An entry of kind `entrants` has their `root` and how many there are; one of kind `draw` also `reveal`, `beacon` and `seed`. While it
-- is allocated, the last entry of each batch has in `allocated` how many ranks are done; the very last one, of kind `allocate`, has
-- the field `over`.

local DRAW_KINDS = {entrants = true, draw = true, allocate = true}

-- The key of the reservation that the draw gives a buyer: 12 characters of its id, the same however often it is allocated.
local function draw_key(buyer) return redis.sha1hex(STATE .. ' ' .. buyer .. ' draw'):sub(1, 12) end

-- What an entry of a draw, or of its allocation, sets in the state; nil and the reason if it can't.
local function draw_state(s, e, named)
  if not (DRAW_KINDS[e.kind] or named.allocated) then return {} end
  if s.format < 4 then return nil, 'the sale has no draw' end
  local state = {allocated = tonumber(named.allocated)}
  if e.kind == 'entrants' then
    state = {draw_root = named.root, entrants = tonumber(named.entrants), fixed_in = e.sequence}
  elseif e.kind == 'draw' then
    state = {draw_reveal = named.reveal, draw_beacon = named.beacon, draw_seed = named.seed, drawn_in = e.sequence}
  elseif named.over then
    state.opens, state.allocated_in = s.draw_opens, e.sequence
  end
  for field, value in pairs(state) do s[field] = value end
  return state
end
