-- kpi: read_rate
-- title: Read
-- unit: ratio
-- kind: ratio
-- better: higher
-- dimensions: channel
-- live: yes
-- definition: Of the messages out, by when they were written, the part that the customer has seen so far, as far as the channel tells.
SELECT bucket, dimension, key,
    CAST(sum(read) AS DOUBLE) / nullif(sum(messages_out_human + messages_out_bot), 0) AS value,
    sum(read) AS part,
    sum(messages_out_human + messages_out_bot) AS count
FROM cells
GROUP BY bucket, dimension, key
