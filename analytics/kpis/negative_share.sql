-- kpi: negative_share
-- title: Negative messages
-- unit: ratio
-- kind: ratio
-- better: lower
-- dimensions: channel, agent, label
-- live: yes
-- definition: Of the messages with a text that customers sent, the part that sounds negative: they complain or report what went wrong. A built-in model judges each message in its own language. An agent's number is about conversations that were assigned to the agent when the messages came.
SELECT bucket, dimension, key,
    CAST(sum(negative) AS DOUBLE) / nullif(sum(negative + neutral + positive), 0) AS value,
    sum(negative) AS part,
    sum(negative + neutral + positive) AS count
FROM cells
GROUP BY bucket, dimension, key
