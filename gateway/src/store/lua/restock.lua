-- Sets the total of one item; repeating it changes nothing. Denied at maxmemory.
--
-- ARGV  1 identity  2 known sequence  3 item  4 total  5 previous total  6 who  7 reason or '-'
-- Reply {'ok', header, total, free, 1 when this call changed something, else 0}, {'unknown-item'},
--       {'no-limit'}: the item has none, {'stock-changed', total}: it is neither the previous nor the new one,
--       {'stock-taken', taken}: more is taken, or a draw allocates all of it
-- Example  "epoch incarnation" 7 model:air 3500 3000 ops - -> ok, "8 …", 3500, 512, 1

local item, total, was = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
if redis.call('HEXISTS', STOCK, item) == 0 then return {'unknown-item'} end
-- What is set aside of a model is not taken, either.
local aside = s.standby == 1 and item:sub(1, 6) == 'model:' and aside_of(item) or nil
local stock, damage = fetch_stock({item, aside})
if not stock then return damage end
local current = redis.call('HGET', TOTALS, item)
if not current then return {'no-limit'} end
current = tonumber(current)
if not current then return {'damaged', TOTALS .. ' has no number in ' .. item} end
if current == total then return {'ok', header(s), integer(total), integer(stock[item]), 0} end
if current ~= was then return {'stock-changed', integer(current)} end
local taken = is_reserved_for_draw(s, item) and current or current - stock[item] - (aside and stock[aside] or 0)
if total < taken then return {'stock-taken', integer(taken)} end

local set_aside = stock[aside]
shift(s, stock, item, total - current)
-- The entry names it only if it changes: a replay goes by that.
if aside and stock[aside] == set_aside then stock[aside] = nil end
commit(s, 'restock', {'item', item, 'total', integer(total), 'was', integer(current), 'who', ARGV[6], 'reason', ARGV[7]},
  flat(stock), {}, {})
store_pairs(TOTALS, {item, integer(total)})
-- As of its own entry.
local reply = {'ok', header(s), integer(total), integer(stock[item]), 1}
-- The ticks go on with what this call can't grant.
grant(s, {item}, 64)
return reply
