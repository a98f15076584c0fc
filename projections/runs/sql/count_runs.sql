SELECT count(*) FROM read.runs WHERE user_id = %(user_id)s AND graph_id = %(graph_id)s
