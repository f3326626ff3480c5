-- Documents: small records that the fleet shares.

-- The document goes, and its removal is remembered for those who have a copy.
local function forget_doc(kind, key, rev)
  call('HDEL', T..':doc:'..kind, key)
  call('ZADD', T..':docrev:'..kind, ms(rev), key)
  call('ZREM', DOC_ENDS, kind..'/'..key)
  call('ZADD', DOC_GONE, ms(rev), kind..'/'..key)
end

