-- What `wrk` sends: commands, each under a key of its own, to accounts picked at random.
-- Arguments: load (single or mixed), accounts, and, for all clients alike, commands a batch, token, prefix of the keys.

local load, accounts, prefix
local sent = 0
local placed = {}
local headers = { ["Content-Type"] = "application/json" }
local reference = "order placed from the web shop"

local function account()
  return string.format("cus_%032x", math.random(accounts))
end

local function key()
  sent = sent + 1
  return prefix .. sent
end

function init(arguments)
  load, accounts = arguments[1], tonumber(arguments[2])
  headers["Authorization"] = "Bearer " .. arguments[4]
  prefix = arguments[5]
  math.randomseed(os.time() + tonumber(string.sub(prefix, 1, 6), 16))
  -- Reading every answer costs the client time: only this load needs to.
  if load == "mixed" then response = remember end
end

local function post(path, body)
  headers["Idempotency-Key"] = key()
  return wrk.format("POST", path, headers, body)
end

local function money(kind)
  return post("/v1/customers/" .. account() .. kind, '{"amount": "0.01", "reference": "' .. reference .. '"}')
end

local function order()
  return post("/v1/orders", '{"customer_id": "' .. account() .. '", "product": "bench", "quantity": 1}')
end

local function mixed()
  local chance = math.random()
  if chance < 0.4 then return money("/deductions") end
  if chance < 0.7 then return money("/recharges") end
  if chance < 0.9 or #placed == 0 then return order() end
  return post("/v1/orders/" .. table.remove(placed) .. "/cancellation", "{}")
end

function request()
  if load == "mixed" then return mixed() end
  return money("/deductions")
end

function remember(_, _, body)
  local id = string.match(body, '"order":{"id":"(ord_%x+)"')
  if id and string.find(body, '"type":"order.placed"', 1, true) then placed[#placed + 1] = id end
end

function done(summary, latency, _)
  local errors = summary.errors
  print(string.format('{"requests": %d, "seconds": %f, "refused": %d, "lost": %d, "p50_us": %d, "p99_us": %d}',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(50), latency:percentile(99)))
end
