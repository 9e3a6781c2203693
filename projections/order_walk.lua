-- One bounded look at the orders read model. ARGV[1]: JSON, see projections/order_walk.py. Returns the generation, the
-- position, the lowest and highest number wanted, then either 'numbers', those of the smallest part of the filter that
-- names its orders, and their documents if they are few; or 'windows', then of each part of the filter the numbers that
-- ids and references lead to, after 1 (or 0 if references are too many), and its lists (all in one, or those to be
-- completed by bitmaps; 0: too long), how many binary places amounts have, how many windows are full, and of each window
-- its index and bitmaps, and its amounts and accounts unless it is full.

local DOCUMENTS_PER_BLOCK = 64

local request = cjson.decode(ARGV[1])
local generation = redis.call('GET', request.pointer)
if not generation then return { '', 'unbuilt' } end
local prefix = request.data .. generation .. ':'
local position, building_to = unpack(redis.call('HMGET', prefix .. 'checkpoint', 'position', 'building_to'))
if not position then return { '', 'gone' } end
if building_to and tonumber(position) < tonumber(building_to) then return { '', 'unbuilt' } end
local order_count = tonumber(redis.call('HGET', prefix .. 'o', 'count') or '0')
local low = math.max(1, request.low or 1)
local high = math.min(order_count, request.high or math.huge)

local function document(number)
  return redis.call('LINDEX', prefix .. 'd:' .. math.floor((number - 1) / DOCUMENTS_PER_BLOCK),
    (number - 1) % DOCUMENTS_PER_BLOCK)
end

-- The first number whose placed position is not below the bound: numbers and positions rise together.
local function first_from(bound)
  local from, to = 1, order_count + 1
  while from < to do
    local middle = math.floor((from + to) / 2)
    local placed = string.match(document(middle), '^[^,]*,[^,]*,[^,]*,[^,]*,[^,]*,([^,]*)')
    if tonumber(placed) < bound then from = middle + 1 else to = middle end
  end
  return from
end

if request.placed_from then low = math.max(low, first_from(request.placed_from)) end
if request.placed_to then high = math.min(high, first_from(request.placed_to + 1) - 1) end

-- Parts of the filter that name their orders ---------------------------------------------------------------------------

local function add_numbers_of_id(numbers, id)
  for text in string.gmatch(redis.call('HGET', prefix .. id[1], id[2]) or '', '%d+') do
    numbers[#numbers + 1] = tonumber(text)
  end
end

local function add_numbers_between(numbers, from, to)
  local directory = prefix .. 'r'
  local segment = redis.call('ZREVRANGEBYLEX', directory, '[' .. from, '-', 'LIMIT', 0, 1)[1]
  while segment do
    local members = redis.call('ZRANGEBYLEX', directory .. ':' .. segment, '[' .. from, '(' .. to)
    for i = 1, #members do
      numbers[#numbers + 1] = tonumber(string.match(members[i], '%z(%x+)$'), 16)
    end
    if #numbers > request.named_max then return false end
    segment = redis.call('ZRANGEBYLEX', directory, '(' .. segment, '(' .. to, 'LIMIT', 0, 1)[1]
  end
  return true
end

-- What ids and references lead to, and whether that is all.
local function named(clause)
  local numbers, of_references = {}, {}
  for i = 1, #clause.ids do add_numbers_of_id(numbers, clause.ids[i]) end
  for i = 1, #clause.ranges do
    local from, to = clause.ranges[i][1], clause.ranges[i][2]
    -- A prefix ends where no text that begins with it can be.
    if not add_numbers_between(of_references, from, to or (from .. '\255')) then return numbers, 0 end
  end
  for i = 1, #of_references do numbers[#numbers + 1] = of_references[i] end
  return numbers, 1
end

-- The lists of a part of the filter, one after the other; nil when they are too long, or some numbers are in bitmaps.
local function listed(clause, most)
  if not clause.listable then return nil end
  local lists, size = {}, 0
  for i = 1, #clause.parts do
    local length = redis.call('STRLEN', prefix .. clause.parts[i]) / 4
    size = size + length
    if length >= request.dense_min or size > most then return nil end
    lists[i] = redis.call('GET', prefix .. clause.parts[i]) or ''
  end
  return table.concat(lists), size
end

local names, lists, smallest, least = {}, {}, nil, request.numbers_max
for i = 1, #request.clauses do
  local numbers, complete = named(request.clauses[i])
  local list, size = listed(request.clauses[i], request.listed_max)
  if complete == 1 and list and #numbers + size <= least then smallest, least = i, #numbers + size end
  names[i], lists[i] = { complete, numbers }, list or 0
end
if smallest then
  local numbers, documents = names[smallest][2], {}
  for i = 1, #lists[smallest], 4 do numbers[#numbers + 1] = struct.unpack('<I4', lists[smallest], i) end
  if #numbers <= request.documents_max then
    for i = 1, #numbers do documents[i] = document(numbers[i]) end
  end
  return { generation, position, low, high, 'numbers', numbers, documents }
end
for i = 1, #request.clauses do
  local looked, some = request.clauses[i].looked, {}
  for j = 1, #looked do some[j] = redis.call('GET', prefix .. looked[j]) or '' end
  if lists[i] == 0 and #looked > 0 then lists[i] = some end
end

-- Windows --------------------------------------------------------------------------------------------------------------

local places = request.amounts and tonumber(redis.call('HGET', prefix .. 'o', 'places') or '0') or 0

-- Windows below this one are full. Their columns never change: who does not know them asks for them.
local full = math.floor(order_count / request.window)

local function look(window)
  local maps, amounts, codes = {}, false, false
  for i = 1, #request.maps do maps[i] = redis.call('GET', prefix .. request.maps[i] .. ':' .. window) or '' end
  if window >= full then
    amounts = {}
    for place = 1, places do amounts[place] = redis.call('GET', prefix .. 'a:' .. (place - 1) .. ':' .. window) or '' end
    if request.codes then codes = redis.call('GET', prefix .. 'u:' .. window) or '' end
  end
  return { window, maps, amounts, codes }
end

local windows = {}
local step = request.descending and -1 or 1
local first, last = math.floor((low - 1) / request.window), math.floor((high - 1) / request.window)
if request.descending then first, last = last, first end
if low <= high then
  for window = first, last, step do
    if #windows == request.windows_max then break end
    windows[#windows + 1] = look(window)
  end
end
return { generation, position, low, high, 'windows', names, lists, places, full, windows }
