-- One bounded walk over the orders: choose the smallest source that holds every match, take candidates from it in order,
-- keep those that the filter lets through. ARGV[1]: JSON, see projections/order_search.py. Returns the checkpoint, 1
-- when the source is exhausted, the last candidate looked at, how many matched, whether all of a small source is read
-- to be sorted by the caller, and numbers and documents in turn (or, when counting, statuses and counts).

local DOCUMENTS_PER_BLOCK = 64
local BITS_PER_BLOCK = 4096
local BIT_COST, CANDIDATE_COST = 0.25, 1

local request = cjson.decode(ARGV[1])
local prefix, descending, filter = request.prefix, request.descending, request.filter
local checkpoint = redis.call('HGET', request.checkpoint, 'position')
if not checkpoint then return { '', 1, '', 0, 0, {} } end
local order_count = tonumber(redis.call('HGET', prefix .. 'o', 'count') or '0')
local low = math.max(1, request.low or 1)
local high = math.min(order_count, request.high or math.huge)
local spent = 0

local function within(number) return number >= low and number <= high end

local function document(number)
  return redis.call('LINDEX', prefix .. 'd:' .. math.floor((number - 1) / DOCUMENTS_PER_BLOCK),
    (number - 1) % DOCUMENTS_PER_BLOCK)
end

local function fields(line)
  return string.match(line, '^([^,]*),([^,]*),([^,]*),([^,]*),([^,]*),([^,]*)')
end

-- The number in a member of the index over amounts: each of the two has its count of digits before it.
local function number_of(member)
  return tonumber(string.sub(member, 3 + tonumber(string.sub(member, 1, 1), 16)), 16)
end

-- The first number whose placed position is not below the bound: numbers and positions rise together.
local function first_from(bound)
  local from, to = 1, order_count + 1
  while from < to do
    local middle = math.floor((from + to) / 2)
    if tonumber((select(6, fields(document(middle))))) < bound then from = middle + 1 else to = middle end
  end
  return from
end

if request.placed_from then low = math.max(low, first_from(request.placed_from)) end
if request.placed_to then high = math.min(high, first_from(request.placed_to + 1) - 1) end

-- Sources: functions that return the next candidate, or nil at the end ---------------------------------------------

local function every_number()
  local number, step = low - 1, 1
  if descending then number, step = high + 1, -1 end
  return function()
    number = number + step
    if within(number) then return number end
  end
end

-- Numbers that have any of the statuses, by the bitmaps.
local function by_status(labels)
  local block = math.floor(((descending and high or low) - 1) / BITS_PER_BLOCK)
  local last = math.floor(((descending and low or high) - 1) / BITS_PER_BLOCK)
  local step = descending and -1 or 1
  local buffer, at, maps, byte, began = {}, 0, nil, nil, false

  local function load()
    maps = {}
    for i = 1, #labels do
      local map = redis.call('GET', prefix .. 's:' .. labels[i] .. ':' .. block)
      if map then maps[#maps + 1] = map end
    end
    byte = descending and BITS_PER_BLOCK / 8 or 1
    if not began then byte = math.floor(((descending and high or low) - 1) % BITS_PER_BLOCK / 8) + 1 end
    began = true
    spent = spent + CANDIDATE_COST
  end

  local function fill()
    local bits = 0
    for i = 1, #maps do bits = bit.bor(bits, string.byte(maps[i], byte) or 0) end
    if bits ~= 0 then
      buffer, at = {}, 0
      local first = block * BITS_PER_BLOCK + (byte - 1) * 8 + 1
      for i = 0, 7 do
        local offset = descending and 7 - i or i
        if bit.band(bits, bit.lshift(1, 7 - offset)) ~= 0 then buffer[#buffer + 1] = first + offset end
      end
    end
    byte = byte + step
  end

  return function()
    while true do
      at = at + 1
      if buffer[at] then
        if within(buffer[at]) then return buffer[at] end
      elseif maps and #maps > 0 and byte >= 1 and byte <= BITS_PER_BLOCK / 8 then
        fill()
      else
        if maps then block = block + step end
        if (block - last) * step > 0 or high < low then return nil end
        if spent > request.budget then return nil, block * BITS_PER_BLOCK + (descending and BITS_PER_BLOCK + 1 or 0) end
        load()
      end
    end
  end
end

-- Ascending lists of numbers merged by a heap; equal numbers come once.
local function merged(parts, numbers)
  local sign = descending and -1 or 1
  local chunk = math.max(4, math.floor(256 / math.max(1, #parts)))
  local heap = {}

  local function before(a, b) return a.value * sign < b.value * sign end

  local function sink(i)
    local size = #heap
    while true do
      local child = 2 * i
      if child > size then return end
      if child < size and before(heap[child + 1], heap[child]) then child = child + 1 end
      if not before(heap[child], heap[i]) then return end
      heap[i], heap[child] = heap[child], heap[i]
      i = child
    end
  end

  local function read(list, from, to)
    if list.key then return redis.call('LRANGE', list.key, from, to) end
    local found = {}
    for i = from, to do found[#found + 1] = numbers[i + 1] end
    return found
  end

  -- The index of the first number that is not below the bound.
  local function index_of(list, bound)
    local from, to = 0, list.length
    while from < to do
      local middle = math.floor((from + to) / 2)
      if tonumber(read(list, middle, middle)[1]) < bound then from = middle + 1 else to = middle end
    end
    return from
  end

  local function advance(list)
    if list.at == #list.chunk then
      local from, to
      if descending then
        to = list.next
        from = math.max(0, to - chunk + 1)
        list.next = from - 1
      else
        from = list.next
        to = math.min(list.length - 1, from + chunk - 1)
        list.next = to + 1
      end
      if from > to then return false end
      list.chunk, list.at = read(list, from, to), 0
    end
    list.at = list.at + 1
    list.value = tonumber(list.chunk[descending and #list.chunk + 1 - list.at or list.at])
    return within(list.value)
  end

  local function add(key, length)
    if length == 0 then return end
    local list = { key = key, length = length, chunk = {}, at = 0 }
    -- Most lists are short, and most searches begin at their end: those need no bisection.
    if descending then
      list.next = high >= order_count and length - 1 or index_of(list, high + 1) - 1
    else
      list.next = low <= 1 and 0 or index_of(list, low)
    end
    if advance(list) then heap[#heap + 1] = list end
  end

  for i = 1, #parts do add(prefix .. parts[i], redis.call('LLEN', prefix .. parts[i])) end
  add(nil, #numbers)
  for i = math.floor(#heap / 2), 1, -1 do sink(i) end

  local previous
  return function()
    while #heap > 0 do
      local value = heap[1].value
      if not advance(heap[1]) then
        heap[1] = heap[#heap]
        heap[#heap] = nil
      end
      sink(1)
      if value ~= previous then
        previous = value
        return value
      end
    end
  end
end

-- Numbers in the order of the index over amounts, between two of its members (exclusive; empty: the end).
local function by_amount(from, to)
  local directory, segment, members, at = prefix .. 'm', nil, {}, 0

  local function open(bound, how)
    if descending then
      return redis.call('ZREVRANGEBYLEX', directory, how .. bound, '-', 'LIMIT', 0, 1)[1]
    end
    return redis.call('ZRANGEBYLEX', directory, how .. bound, '+', 'LIMIT', 0, 1)[1]
  end

  local function load()
    if descending then
      members = redis.call('ZREVRANGEBYLEX', directory .. ':' .. segment, to == '' and '+' or '(' .. to,
        from == '' and '-' or '(' .. from)
    else
      members = redis.call('ZRANGEBYLEX', directory .. ':' .. segment, from == '' and '-' or '(' .. from,
        to == '' and '+' or '(' .. to)
    end
    at = 0
  end

  if descending then
    segment = to == '' and redis.call('ZREVRANGE', directory, 0, 0)[1] or open(to, '[')
  else
    segment = redis.call('ZREVRANGEBYLEX', directory, '[' .. from, '-', 'LIMIT', 0, 1)[1]
  end
  if segment then load() end
  return function()
    while segment do
      at = at + 1
      if members[at] then return number_of(members[at]), members[at] end
      segment = open(segment, '(')
      spent = spent + CANDIDATE_COST
      -- The directory is ordered: a segment that begins beyond the range ends the walk.
      if segment and not descending and to ~= '' and segment >= to then segment = nil end
      if segment then load() end
      if #members == 0 and descending then segment = nil end
    end
  end
end

-- What there is to walk ----------------------------------------------------------------------------------------------

local function numbers_between(numbers, index, from, to)
  local directory = prefix .. index
  local segment = redis.call('ZREVRANGEBYLEX', directory, '[' .. from, '-', 'LIMIT', 0, 1)[1]
  while segment do
    local members = redis.call('ZRANGEBYLEX', directory .. ':' .. segment, '[' .. from, '(' .. to)
    for i = 1, #members do
      numbers[#numbers + 1] = index == 'm' and number_of(members[i]) or tonumber(string.sub(members[i], -8), 16)
      if #numbers > request.numbers_max then return false end
    end
    segment = redis.call('ZRANGEBYLEX', directory, '(' .. segment, '(' .. to, 'LIMIT', 0, 1)[1]
  end
  return true
end

local function numbers_of_id(numbers, id)
  for text in string.gmatch(redis.call('HGET', prefix .. id[1], id[2]) or '', '%d+') do
    local number = tonumber(text)
    local line = document(number)
    if line and (select(5, fields(line))) == id[3] then numbers[#numbers + 1] = number end
  end
end

-- Adds what an option leads to; returns its size, or nil when it leads to too much.
local function measure(option)
  if option.kind == 'numbers' then return high - low + 1 end
  local size = 0
  if option.kind == 'statuses' then
    for i = 1, #option.codes do size = size + tonumber(redis.call('HGET', prefix .. 'n', option.codes[i]) or '0') end
    return size
  end
  option.numbers = {}
  for i = 1, #option.ids do numbers_of_id(option.numbers, option.ids[i]) end
  for i = 1, #option.ranges do
    local range = option.ranges[i]
    -- A prefix ends where no text that begins with it can be.
    if not numbers_between(option.numbers, range[1], range[2], range[3] or (range[2] .. '\255')) then return nil end
  end
  table.sort(option.numbers)
  for i = 1, #option.parts do size = size + redis.call('LLEN', prefix .. option.parts[i]) end
  return size + #option.numbers
end

local function choose()
  local chosen, smallest
  for i = 1, #request.options do
    local size = measure(request.options[i])
    if size and (not smallest or size < smallest) then chosen, smallest = request.options[i], size end
  end
  return chosen, smallest
end

-- The filter ---------------------------------------------------------------------------------------------------------

local function reference_of(line)
  local at = string.find(line, '=', 1, true)
  if not at then return nil end
  local length, texts = string.match(line, '^=(%d*)=(.*)$', at)
  if length == '' then return string.lower(texts) end
  return string.sub(texts, tonumber(length) + 1)
end

local function begins_with(text, prefixes)
  for i = 1, #prefixes do
    if string.sub(text, 1, #prefixes[i]) == prefixes[i] then return true end
  end
  return false
end

local function accepted(line)
  local _, account, product, amount, order = fields(line)
  amount = tonumber(amount)
  if filter.accounts and not filter.accounts[account] then return false end
  if filter.products and not filter.products[product] then return false end
  if filter.amount_min and amount < filter.amount_min then return false end
  if filter.amount_max and amount > filter.amount_max then return false end
  if filter.order and order ~= filter.order then return false end
  if not (filter.reference or filter.reference_prefix or filter.text) then return true end
  local reference = reference_of(line)
  if filter.reference and reference ~= filter.reference then return false end
  if filter.reference_prefix and not (reference and begins_with(reference, { filter.reference_prefix })) then
    return false
  end
  local text = filter.text
  return not text or text.orders[order] or text.accounts[account] or text.products[product]
    or (reference and begins_with(reference, text.references)) or false
end

local function has_status(number)
  local block, offset = math.floor((number - 1) / BITS_PER_BLOCK), (number - 1) % BITS_PER_BLOCK
  for i = 1, #request.statuses do
    spent = spent + BIT_COST
    if redis.call('GETBIT', prefix .. 's:' .. request.statuses[i] .. ':' .. block, offset) == 1 then return true end
  end
  return false
end

-- Documents beside each other are read together.
local block_read, block_documents
local function read_document(number)
  local block = math.floor((number - 1) / DOCUMENTS_PER_BLOCK)
  if block == block_read then
    block_documents = block_documents
      or redis.call('LRANGE', prefix .. 'd:' .. block, 0, DOCUMENTS_PER_BLOCK - 1)
    return block_documents[(number - 1) % DOCUMENTS_PER_BLOCK + 1]
  end
  block_read, block_documents = block, nil
  return document(number)
end

-- The walk -----------------------------------------------------------------------------------------------------------

local option, size = choose()
local gathering = request.amounts and (request.gathering or size <= request.gathered_max) or false
local next_candidate
if request.amounts and not gathering then next_candidate = by_amount(request.amounts[1], request.amounts[2])
elseif option.kind == 'numbers' then next_candidate = every_number()
elseif option.kind == 'statuses' then next_candidate = by_status(option.codes)
else next_candidate = merged(option.parts, option.numbers) end
local checks_status = request.statuses and (option.kind ~= 'statuses' or (request.amounts and not gathering))

local found, counts, matched, last = {}, {}, 0, ''
local exhausted = 1
while true do
  if spent >= request.budget or (matched >= request.limit and not gathering) then
    exhausted = 0
    break
  end
  local number, member = next_candidate()
  if not number then
    -- A source that ran out of budget says where to go on.
    if member then
      last, exhausted = tostring(member), 0
    end
    break
  end
  last = member or tostring(number)
  if within(number) and (not checks_status or has_status(number)) then
    spent = spent + CANDIDATE_COST
    local line = read_document(number)
    if not line then return redis.error_reply('DAMAGED a document is missing') end
    if not request.filtered or accepted(line) then
      matched = matched + 1
      if request.counting then
        local code = string.match(line, '^[^,]*')
        counts[code] = (counts[code] or 0) + 1
      else
        found[#found + 1] = tostring(number)
        found[#found + 1] = line
      end
    end
  else
    spent = spent + BIT_COST
  end
end

if request.counting then
  for code, count in pairs(counts) do
    found[#found + 1] = code
    found[#found + 1] = tostring(count)
  end
end
return { checkpoint, exhausted, last, matched, gathering and 1 or 0, found }
