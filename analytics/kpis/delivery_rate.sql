-- kpi: delivery_rate
-- title: Delivered
-- unit: ratio
-- kind: ratio
-- better: higher
-- dimensions: channel
-- live: yes
-- definition: Of the messages out, by when they were written, the part that has arrived at the customer so far, seen or not. What a provider has only taken does not count as arrived.
SELECT bucket, dimension, key,
    CAST(sum(delivered + read) AS DOUBLE) / nullif(sum(messages_out_human + messages_out_bot), 0) AS value,
    sum(delivered + read) AS part,
    sum(messages_out_human + messages_out_bot) AS count
FROM cells
GROUP BY bucket, dimension, key
