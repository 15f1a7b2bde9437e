-- kpi: positive_share
-- title: Positive messages
-- unit: ratio
-- kind: ratio
-- better: higher
-- dimensions: channel, agent, label
-- live: yes
-- definition: Of the messages with a text that customers sent, the part that sounds positive: they thank or praise. A built-in model judges each message in its own language. An agent's number is about conversations that were assigned to the agent when the messages came.
SELECT bucket, dimension, key,
    CAST(sum(positive) AS DOUBLE) / nullif(sum(negative + neutral + positive), 0) AS value,
    sum(positive) AS part,
    sum(negative + neutral + positive) AS count
FROM cells
GROUP BY bucket, dimension, key
