-- Reads documents. ARGV: the generation's prefix, documents in a block, numbers. Returns the documents.
local prefix, per, documents = ARGV[1] .. 'd:', ARGV[2], {}
for i = 3, #ARGV do
  local at = ARGV[i] - 1
  documents[i - 2] = redis.call('LINDEX', prefix .. math.floor(at / per), at % per)
end
return documents
