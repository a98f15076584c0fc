SELECT request_hash, answer, position FROM log.receipts WHERE owner = %s AND key = %s
