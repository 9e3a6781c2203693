-- Reads a part of the index over references. ARGV: the generation's prefix, where to begin and to end (as bounds of a
-- range of texts), how many members are enough. Returns members of whole segments, and '' or where to go on.
local directory, from, to, enough = ARGV[1] .. 'r', ARGV[2], ARGV[3], tonumber(ARGV[4])
local segment = redis.call('ZREVRANGEBYLEX', directory, '[' .. string.sub(from, 2), '-', 'LIMIT', 0, 1)[1]
local found = {}
while segment do
  local members = redis.call('ZRANGEBYLEX', directory .. ':' .. segment, from, to)
  for i = 1, #members do found[#found + 1] = members[i] end
  if #found >= enough then return { found, '(' .. found[#found] } end
  segment = redis.call('ZRANGEBYLEX', directory, '(' .. segment, to, 'LIMIT', 0, 1)[1]
end
return { found, '' }
