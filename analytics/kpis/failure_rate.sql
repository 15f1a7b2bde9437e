-- kpi: failure_rate
-- title: Failed
-- unit: ratio
-- kind: ratio
-- better: lower
-- dimensions: channel
-- live: yes
-- definition: Of the messages out, by when they were written, the part that failed and is not being sent again.
SELECT bucket, dimension, key,
    CAST(sum(failed) AS DOUBLE) / nullif(sum(messages_out_human + messages_out_bot), 0) AS value,
    sum(failed) AS part,
    sum(messages_out_human + messages_out_bot) AS count
FROM cells
GROUP BY bucket, dimension, key
