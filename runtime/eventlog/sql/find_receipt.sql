SELECT request_hash, answer FROM log.receipts WHERE owner = %s AND key = %s
