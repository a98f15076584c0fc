SELECT substring(value FROM %s FOR %s) FROM log.values WHERE owner = %s AND hash = %s
