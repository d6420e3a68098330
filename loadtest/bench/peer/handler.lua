-- Owns one reservation of the peer: reads the request, calls the script, answers as the gateway does.

local cjson = require "cjson.safe"
local redis = require "nginx.redis"

local function answer(status, body)
  local text = cjson.encode(body)
  ngx.status = status
  ngx.header["Cache-Control"] = "no-store"
  ngx.header["Content-Length"] = #text
  ngx.print(text)
end

local function refuse(status, name, title, members)
  ngx.header["Content-Type"] = "application/problem+json"
  local body = members or {}
  body.type, body.title, body.status = "/problems/" .. name, title, status
  answer(status, body)
end

local headers = ngx.req.get_headers()
local claims = (headers.authorization or ""):match("^Bearer [^.]+%.([^.]+)%.")
claims = claims and ngx.decode_base64((claims:gsub("-", "+"):gsub("_", "/")) .. ("="):rep(-#claims % 4))
claims = claims and cjson.decode(claims)
if not claims or not claims.sub then return refuse(401, "unauthenticated", "A valid token is needed") end
local key = (headers["idempotency-key"] or ""):match('^"?([^"]+)"?$')
if not key then return refuse(400, "idempotency-key-missing", "An Idempotency-Key is needed") end

ngx.req.read_body()
local selection = cjson.decode(ngx.req.get_body_data() or "")
if type(selection) ~= "table" or type(selection.model) ~= "string" or type(selection.store) ~= "string" then
  return refuse(400, "invalid-request", "The request is malformed")
end
local packages = selection.packages or {}

local sale = ngx.var.sale
local function short(text) return (ngx.encode_base64(ngx.sha1_bin(text), true):gsub("[+/]", {["+"] = "-", ["/"] = "_"})) end
local buyer = short(sale .. "\0" .. claims.sub)
local id = buyer .. short(key)
local print = ngx.crc32_long(selection.model .. table.concat(packages, ",") .. selection.store)

local db = redis:new()
db:set_timeout(2000)
local ok, err = db:connect("127.0.0.1", redis_port)
if not ok then return refuse(503, "temporary-reduced-capacity", "Not taken, please try again") end

local function call(command, script)
  return db[command](db, script, 4, "peer:stock", "peer:records", "peer:journal", "peer:state", buyer, id,
    claims.sub, print, selection.model, table.concat(packages, ","), selection.store, 900000)
end
local reply
reply, err = call("evalsha", script_sha)
if not reply and err and err:find("NOSCRIPT", 1, true) then reply, err = call("eval", script_text) end
if not reply then return refuse(503, "outcome-unknown", "The outcome is not known yet") end
db:set_keepalive(60000, 256)

local decision = reply[1]
if decision == "sold-out" then return refuse(409, "sold-out", "Sold out", {items = reply[2]}) end
if decision == "reused" then return refuse(422, "idempotency-key-reused", "The key was used for another request") end
if decision == "limit" then return refuse(409, "purchase-limit", "The purchase limit is reached") end

local function time(ms)
  return os.date("!%Y-%m-%dT%H:%M:%S", math.floor(ms / 1000)) .. (".%03dZ"):format(ms % 1000)
end
local number, held_at, deadline = tonumber(reply[2]), tonumber(reply[3]), tonumber(reply[4])
ngx.header["Location"] = "/v1/sales/" .. sale .. "/reservations/" .. id
answer(decision == "won" and 201 or 200, {
  id = id, sale = sale, number = number, version = 1, state = "held", model = selection.model, packages = packages,
  store = selection.store, unavailable = cjson.empty_array, price = {currency = "CNY", total = 5129700, deposit = 99900},
  held_at = time(held_at), expires_at = time(deadline), server_time = time(held_at),
})
