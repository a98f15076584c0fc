-- Plans are made once, perhaps while a table is still empty, and kept when it has become large.
SELECT set_config('enable_seqscan', 'off', false),
    set_config('enable_hashjoin', 'off', false),
    set_config('enable_mergejoin', 'off', false)
